-- A recorder that finds no series of a limited metric, or one that has not been recorded since limits of the metric changed, locks the subject's row
-- before it looks at limits. A change of the subject's limits locks the row too, and then marks the series of the subject. So either the change
-- finds the series, or the recorder sees the change. A recorder that already holds the row of the series cannot wait for the subject, because the
-- change may wait for that row: if the subject is locked, it decides, and leaves the series marked for the next one to look at.
create or replace function _lock_limited_subject(subject text)
returns void
language plpgsql
volatile
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
begin
    perform _check_home(_lock_limited_subject.subject), _enter_limited_subjects(array[_lock_limited_subject.subject]);
exception when lock_not_available then
    perform _raise_busy(format('subject %s', quote_literal(left(_lock_limited_subject.subject, 80))));
end
$$;

comment on function _lock_limited_subject(text) is
    'Locks what limits a subject against other changes until the transaction ends. Raises 55P03 after 5 seconds, UM008 as _check_home().';

-- The row changes, so that a change of limits in a transaction with an older snapshot, which would not see the new series, fails with 40001.
create or replace function _enter_limited_subjects(subjects text[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    insert into limited_subjects as l (subject) select u from unnest(subjects) u order by 1
    on conflict (subject) do update set version = l.version + 1;
end
$$;

comment on function _enter_limited_subjects(text[]) is
    'Locks what limits subjects, in their order, until the transaction ends.';

create or replace function _try_limited_subject(subject text)
returns boolean
language plpgsql
volatile
set search_path from current
set lock_timeout to '1ms'
as $$
begin
    perform _enter_limited_subjects(array[_try_limited_subject.subject]);
    return true;
exception when lock_not_available then
    return false;
end
$$;

comment on function _try_limited_subject(text) is
    'Locks what limits a subject until the transaction ends, unless another transaction has; returns whether it did.';

create or replace function _limits_changed(subject text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    perform _mark_series(_limits_changed.subject, array(
        select s.series_id
        from metrics m
        cross join lateral (
            select s.series_id from series s where s.metric = m.key and s.subject = _limits_changed.subject and s.stripe = 0 offset 0
        ) s
        where m.limited));
end
$$;

comment on function _limits_changed(text) is
    'Makes recording look anew at the limits of a subject. Raises 55P03 if its series are locked for 5 seconds.';

-- The rows are given up now and then, so that a call which holds one of them and waits for another cannot wait for ever.
create or replace function _mark_series(subject text, series_ids integer[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set lock_timeout to '100ms'
as $$
#variable_conflict use_column
declare
    v_give_up timestamptz := clock_timestamp() + interval '5 seconds';
    v_millis  integer := 100;
begin
    loop
        begin
            perform from series s where s.series_id = any (_mark_series.series_ids) and s.stripe = 0 order by s.series_id for no key update;
            update series s set revision = 0 where s.series_id = any (_mark_series.series_ids) and s.stripe = 0;
            return;
        exception when lock_not_available or deadlock_detected then
            null;
        end;
        exit when clock_timestamp() > v_give_up;
        perform pg_sleep_for('10 ms');
        v_millis := least(v_millis * 2, 400);
        perform set_config('lock_timeout', v_millis || 'ms', true);
    end loop;
    perform _raise_busy(format('subject %s', quote_literal(left(_mark_series.subject, 80))));
end
$$;

comment on function _mark_series(text, integer[]) is
    'Marks series of a subject, so that the next who records looks anew at limits and top-ups. Raises 55P03 after 5 seconds.';

create or replace function _metric_limits_changed(metric text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _lock_metric(_metric_limits_changed.metric);
    update metrics m set limited = true, revision = m.revision + 1 where m.key = _metric_limits_changed.metric;
end
$$;

comment on function _metric_limits_changed(text) is
    'Makes recording look anew at the limits of a metric, of every subject. Raises 55P03 as _lock_metric() does.';
