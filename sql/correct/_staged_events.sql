create or replace function _raise_form_problem(parsed batch_event[])
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_wrong   batch_event;
    v_problem record;
begin
    select p.* into v_wrong from unnest(parsed) p where p.problem is not null order by p.ordinal limit 1;
    if v_wrong.problem is null then
        select p.ordinal, p.subject, p.metric, case when p.subject is null then 'subject_null' when _is_blank(p.subject) then 'subject_blank'
            when p.metric is null then 'metric_null' else 'metric_unknown' end as problem
        into v_wrong.ordinal, v_wrong.subject, v_wrong.metric, v_wrong.problem
        from unnest(parsed) p
        where p.subject is null or _is_blank(p.subject) or not exists (select from metrics m where m.key = p.metric)
        order by p.ordinal limit 1;
    end if;
    if v_wrong.problem is not null then
        select * into v_problem from _problems() where code = v_wrong.problem;
        raise exception using
            errcode = v_problem.sqlstate, message = v_problem.message, hint = v_problem.hint, column = v_problem.parameter,
            detail = format('Entry %s: %s', v_wrong.ordinal, concat_ws(', ', v_wrong.detail,
                _event_detail(v_wrong.subject, v_wrong.metric, v_wrong.quantity, v_wrong.member, v_wrong.at)));
    end if;
end
$$;

comment on function _raise_form_problem(batch_event[]) is
    'Raises the error of the first entry that has not the form of an event, or names no metric.';

create or replace function _check_targets(entries jsonb, parsed batch_event[])
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_wrong record;
begin
    select g.ordinal, g.entry into v_wrong
    from jsonb_array_elements(entries) with ordinality g (entry, ordinal)
    where g.entry ->> 'entry' in ('void', 'amend')
      and num_nonnulls(g.entry ->> 'event_id', g.entry ->> 'idempotency_key', nullif(g.entry ?| '{since,until}', false)) <> 1
       or g.entry ?| '{since,until}' and (g.entry ->> 'since' is null or g.entry ->> 'until' is null
                                          or _parse_time(g.entry ->> 'since') >= _parse_time(g.entry ->> 'until'))
    limit 1;
    if found then
        raise exception using errcode = '22023', message = 'an entry does not name its event', column = 'entries',
            detail = format('Entry %s: %s.', v_wrong.ordinal, left(v_wrong.entry::text, 200)),
            hint = 'Name it by event_id or by idempotency_key; or, to void all events of a window, give since and until.';
    end if;
end
$$;

comment on function _check_targets(jsonb, batch_event[]) is 'Raises 22023 unless each void and amend names its event in one way.';

-- Events that are named without their time are found by one look at the log of their series.
create or replace function _staged_events(entries jsonb, parsed batch_event[])
returns table (ordinal bigint, event_id bigint, at timestamptz)
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_series integer[];
    v_ids    bigint[];
begin
    select array_agg(distinct s.series_id), array_agg(distinct (g.entry ->> 'event_id')::bigint) into v_series, v_ids
    from unnest(parsed) p
    join jsonb_array_elements(entries) with ordinality g (entry, ordinal) on g.ordinal = p.ordinal
    cross join lateral (
        select s.series_id from series s where s.metric = p.metric and s.subject = p.subject and s.stripe = 0 offset 0
    ) s
    where g.entry ->> 'event_id' is not null and (g.entry ->> 'at' is null or g.entry ->> 'entry' = 'amend');
    return query
    with found as materialized (
        select e.event_id, e.at from events e where e.series_id = any (v_series) and e.event_id = any (v_ids)
    )
    select p.ordinal, (g.entry ->> 'event_id')::bigint,
           coalesce(f.at, case when g.entry ->> 'entry' = 'void' then p.at end)
    from unnest(parsed) p
    join jsonb_array_elements(entries) with ordinality g (entry, ordinal) on g.ordinal = p.ordinal
    left join found f on f.event_id = (g.entry ->> 'event_id')::bigint
    where g.entry ->> 'event_id' is not null and (f.at is not null or g.entry ->> 'at' is not null and g.entry ->> 'entry' = 'void');
end
$$;

comment on function _staged_events(jsonb, batch_event[]) is 'The events that entries name by event_id, and their times.';

create or replace function _window_events(metric text, subject text, since timestamptz, until timestamptz)
returns table (event_id bigint, at timestamptz)
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_series integer := _find_series(_window_events.metric, _window_events.subject);
    v_out    bigint[] := (_uncounted_rows(v_series, since, until)).left_out;
begin
    return query
    select e.event_id, e.at
    from events e
    where e.series_id = v_series and e.at >= since and e.at < until and e.event_id <> all (v_out);
end
$$;

comment on function _window_events(text, text, timestamptz, timestamptz) is
    'The rows of the log of a series in [since, until) that count, adjustments included.';
