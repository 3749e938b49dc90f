-- Who creates a series locks its subject before, see _limited_subjects.sql. So does a transaction with one snapshot, which then fails if the
-- limits have changed since. All others may hold the row of the series already, and do not wait for the subject. The table of members is locked
-- before both, because rebuild() locks it before rows of series.
create or replace function _lock_limited_series(metric metrics, subject text)
returns series
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if (_lock_limited_series.metric).aggregate = 'unique' then
        lock table unique_members in row exclusive mode;
    end if;
    if not exists (
        select from series s
        where s.metric = (_lock_limited_series.metric).key and s.subject = _lock_limited_series.subject and s.stripe = 0
          and (s.revision = (_lock_limited_series.metric).revision or current_setting('transaction_isolation') = 'read committed')
    ) then
        perform _enter_limited_subjects(array[_lock_limited_series.subject]);
    end if;
    return _lock_limited_row(_lock_limited_series.metric, _lock_limited_series.subject);
end
$$;

comment on function _lock_limited_series(metrics, text) is
    'Locks the row of a series of a limited metric until the transaction ends, and returns it as _lock_limited_row() does.';

-- Before a metric was limited, it may have been recorded in stripes; what is in flight there is waited for once. Row 0 is locked in the mode that
-- keeps new stripes away.
create or replace function _lock_limited_row(metric metrics, subject text)
returns series
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_series series;
begin
    select * into v_series
    from series s
    where s.metric = (_lock_limited_row.metric).key and s.subject = _lock_limited_row.subject and s.stripe = 0
    for update;
    if v_series.has_stripes and v_series.revision <> (_lock_limited_row.metric).revision then
        perform from series s where s.series_id = v_series.series_id and s.stripe > 0 order by s.stripe for update;
        update series s set revision = (_lock_limited_row.metric).revision where s.series_id = v_series.series_id and s.stripe > 0;
    end if;
    v_series.metric := (_lock_limited_row.metric).key;
    v_series.subject := _lock_limited_row.subject;
    return v_series;
end
$$;

comment on function _lock_limited_row(metrics, text) is
    'Locks row 0 of a series and, if it has not been recorded at this revision of the metric, its stripes; returns row 0. Without a series, all '
    'fields but metric and subject are null; the caller has locked the subject.';

-- The same for a batch, in the lock order of the package: subjects first, then the rows of series. Those of metrics without limits are locked in the
-- same order, because others may have seen a first limit that this batch has not. Those of stripes come later.
create or replace function _lock_limited_rows(batch batch_event[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_row record;
begin
    perform _enter_limited_subjects(array(
        select distinct e.subject
        from (select distinct metric, subject from unnest(batch)) e
        join metrics m on m.key = e.metric
        where m.limited and not exists (
            select from series s where s.metric = e.metric and s.subject = e.subject and s.stripe = 0 and s.revision = m.revision)));
    for v_row in
        select m, e.subject
        from (select distinct metric, subject from unnest(batch)) e
        join metrics m on m.key = e.metric
        cross join lateral (
            select s.series_id from series s where s.metric = e.metric and s.subject = e.subject and s.stripe = 0 offset 0
        ) s
        where m.limited or not m.striped
        order by s.series_id
    loop
        if (v_row.m).limited then
            perform _lock_limited_row(v_row.m, v_row.subject);
        else
            perform from series s where s.metric = (v_row.m).key and s.subject = v_row.subject and s.stripe = 0 for update;
        end if;
    end loop;
end
$$;

comment on function _lock_limited_rows(batch_event[]) is
    'Locks the series of these events, and the subjects of those of limited metrics that have none yet, until the transaction ends.';
