create or replace function _begin_announcing()
returns boolean
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_since timestamptz := (select min(e.since) from endpoints e where 'usage.aggregated' = any (e.types) and e.disabled_at is null);
begin
    insert into announced_periods (metric, next_start)
    select m.key, _bucket_start(m.period, greatest(v_since, m.defined_at)) from metrics m where m.period <> 'never' and v_since is not null
    order by m.key
    on conflict do nothing;
    return v_since is not null;
end
$$;

comment on function _begin_announcing() is 'Whether an endpoint asks for usage.aggregated; then every metric with a period has its row.';

create or replace function _aggregated(metric metrics, since timestamptz, until timestamptz, quantity numeric, event_count bigint)
returns jsonb
language sql
stable
set search_path from current
as $$
    select jsonb_build_object(
        'period', (metric).period, 'since', since, 'until', until, 'quantity', trim_scale(quantity), 'event_count', event_count,
        'unit', (metric).unit, 'aggregate', (metric).aggregate)
$$;

comment on function _aggregated(metrics, timestamptz, timestamptz, numeric, bigint) is 'What usage.aggregated says of a subject.';

create or replace function _announced_until(subject text, metric text)
returns timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return (
        select case when a.after_subject >= _announced_until.subject then _bucket_end(m.period, a.next_start) else a.next_start end
        from announced_periods a join metrics m on m.key = a.metric
        where a.metric = _announced_until.metric and m.period <> 'never');
end
$$;

comment on function _announced_until(text, text) is
    'Up to where a metric has been announced by this meter as far as a subject is concerned; null if it is not announced.';

-- From here on the subject is announced apart from the others, wherever it is. An announcement that is running is waited for.
create or replace function _announce_apart_from_now(subject text)
returns void
language plpgsql
volatile
set search_path from current
set lock_timeout to '2s'
as $$
#variable_conflict use_column
begin
    perform _begin_announcing();
    perform from announced_periods a order by a.metric for update;
    insert into announced_subjects (subject, metric, next_start)
    select _announce_apart_from_now.subject, a.metric, _announced_until(_announce_apart_from_now.subject, a.metric)
    from announced_periods a
    where _announced_until(_announce_apart_from_now.subject, a.metric) is not null
      and exists (select from _subject_series(_announce_apart_from_now.subject, a.metric))
    order by a.metric
    on conflict do nothing;
end
$$;

comment on function _announce_apart_from_now(text) is
    'Notes how far the periods of a subject that is closing have been announced. Raises 55P03 after waiting 2 seconds for who is announcing.';

-- First the lock, then the look at who is at home: who has closed a subject waits for the lock before its rows are copied.
create or replace function _announce_apart(max_rows integer)
returns bigint
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_row     announced_subjects;
    v_metric  metrics;
    v_reached timestamptz;
    v_end     timestamptz;
    v_count   bigint := 0;
begin
    perform from announced_periods a order by a.metric for update;
    for v_row in
        select n.* from announced_subjects n where (select _all_here()) or _is_home(n.subject) order by n.subject, n.metric
    loop
        v_reached := _announced_until(v_row.subject, v_row.metric);
        select * into v_metric from metrics m where m.key = v_row.metric;
        while v_row.next_start < v_reached and v_count < _announce_apart.max_rows loop
            v_end := _bucket_end(v_metric.period, v_row.next_start);
            insert into notifications (type, subject, metric, data)
            select 'usage.aggregated', v_row.subject, v_metric.key, _aggregated(v_metric, v_row.next_start, v_end, u.quantity, u.event_count)
            from _window_usage(v_metric, v_row.subject, v_row.next_start, v_end) u where u.event_count > 0 or u.quantity <> 0;
            v_row.next_start := v_end;
            v_count := v_count + 1;
        end loop;
        if v_row.next_start = v_reached then
            delete from announced_subjects n where n.subject = v_row.subject and n.metric = v_row.metric;
        else
            update announced_subjects n set next_start = v_row.next_start
            where n.subject = v_row.subject and n.metric = v_row.metric and n.next_start <> v_row.next_start;
        end if;
    end loop;
    return v_count;
end
$$;

comment on function _announce_apart(integer) is
    'Announces what subjects that have come, or have not gone after all, are behind the meter, up to max_rows periods. Those that are as far are '
    'announced with all others again. Returns how many periods it has looked at.';
