-- What metrics with after_close refuse ask. The caller has locked the row of the series: who closes the period locks it too.
create or replace function _is_closed(subject text, at timestamptz)
returns boolean
language plpgsql
volatile  -- sees what was committed while the caller waited for the row
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select count(*) > 0
        from (
            select t.since
            from sealed_subjects s
            cross join lateral (
                select t.since from statements t where t.subject_id = s.subject_id and t.until > _is_closed.at order by t.until limit 1
            ) t
            where s.subject = _is_closed.subject
        ) t
        where t.since <= _is_closed.at);
end
$$;

comment on function _is_closed(text, timestamptz) is 'Whether a statement of the subject holds the instant.';

create or replace function _check_not_closed(metric text, subject text, at timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_rule record;
begin
    if _is_closed(_check_not_closed.subject, _check_not_closed.at) then
        select * into v_rule from _problems() where code = 'period_closed';
        raise exception using
            errcode = v_rule.sqlstate, message = v_rule.message, hint = v_rule.hint, column = v_rule.parameter,
            detail = _event_detail(_check_not_closed.subject, _check_not_closed.metric, null, null, _check_not_closed.at);
    end if;
end
$$;

comment on function _check_not_closed(text, text, timestamptz) is 'Raises UM004 if a statement of the subject holds the instant.';

create or replace function _check_none_closed(batch batch_event[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    if exists (select from metrics m where m.after_close = 'refuse' and m.key in (select e.metric from unnest(batch) e)) then
        perform _check_not_closed(e.metric, e.subject, e.at)
        from unnest(batch) e join metrics m on m.key = e.metric
        where m.after_close = 'refuse';
    end if;
end
$$;

comment on function _check_none_closed(batch_event[]) is
    'Raises UM004 if one of the events is of a metric that refuses late usage, and of a closed period.';

-- A repeat of a known key is a duplicate all the same, and so is one of an earlier event of the batch that can be recorded.
create or replace function _mark_closed(batch batch_event[])
returns batch_event[]
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return array(
        with judged as materialized (
            select e, e.ordinal, e.digest, e.problem,
                   coalesce(e.problem is null and m.after_close = 'refuse' and k.known = 0 and _is_closed(e.subject, e.at), false) as is_refused
            from unnest(batch) e
            left join metrics m on m.key = e.metric
            cross join lateral (
                select count(*) as known
                from (
                    select from keys k where k.digest = e.digest
                    union all
                    select from old_keys k where k.digest = e.digest
                ) k
                offset 0
            ) k
        ),
        taken as (
            select j.digest, min(j.ordinal) as ordinal from judged j where j.problem is null and not j.is_refused and j.digest is not null group by 1
        )
        select case
            when j.is_refused and (t.ordinal is null or t.ordinal > j.ordinal) then
                ((j.e).ordinal, (j.e).subject, (j.e).metric, (j.e).quantity, (j.e).member, (j.e).idempotency_key, (j.e).at, (j.e).metadata,
                 'period_closed', null, null, j.digest)::batch_event
            else j.e end
        from judged j
        left join taken t on t.digest = j.digest
        order by j.ordinal);
end
$$;

comment on function _mark_closed(batch_event[]) is
    'The batch, in which new events of metrics that refuse late usage, and of a closed period, have the problem period_closed.';

create or replace function _raise_rejected(outcomes batch_outcome[])
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rejected batch_outcome;
begin
    select * into v_rejected from unnest(outcomes) o where o.outcome = 'rejected' order by o.ordinal limit 1;
    if found then
        raise exception using errcode = v_rejected.sqlstate, message = v_rejected.message, hint = v_rejected.hint,
            detail = format('Event %s.', v_rejected.ordinal), column = 'at';
    end if;
end
$$;

comment on function _raise_rejected(batch_outcome[]) is 'Raises the error of the first event of a batch that was rejected while it was recorded.';
