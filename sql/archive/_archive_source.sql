create or replace function _archived_partition(month timestamptz)
returns text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_name   text := _partition_name(_archived_partition.month);
    v_start  timestamptz := _bucket_start('month', _archived_partition.month);
    v_strays bigint;
begin
    if _archived_partition.month is null then
        raise exception using errcode = '22004', message = 'month is null', column = 'month', hint = 'Pass an instant of the month (UTC).';
    elsif not isfinite(_archived_partition.month) or _bucket_end('month', _bucket_start('month', _archived_partition.month)) > now() then
        raise exception using
            errcode = '22023', message = 'the month has not ended', column = 'month', detail = format('month %s.', _archived_partition.month),
            hint = 'Archive a month (UTC) that is over.';
    end if;
    perform from events where false;  -- locks the log before looking at partitions
    if pg_partition_root(to_regclass(v_name)) is distinct from 'events'::regclass then
        select count(*) into v_strays
        from (select from events_default d where d.at >= v_start and d.at < _bucket_end('month', v_start) limit 10000) s;
        if v_strays > 0 then
            raise exception using
                errcode = 'UM007', message = 'the month has no partition of the log yet', column = 'month',
                detail = format('Events in the default partition: %s%s.', v_strays, case when v_strays = 10000 then ' or more' end),
                hint = 'Run: pymeter maintain. It makes the partition and moves the events there. Then archive the month.';
        end if;
        raise exception using
            errcode = 'UM007', message = 'the month has no partition of the log', column = 'month', detail = format('partition %s.', v_name),
            hint = 'It has no events, or they were dropped or archived already: see archives(). maintain() creates partitions.';
    end if;
    return v_name;
end
$$;

comment on function _archived_partition(timestamptz) is
    'The partition of a month that can be archived. Raises 22004, 22023 or UM007 if there is none, also if its events are in the default partition.';

create or replace function _archive_source(partition_name text)
returns text
language sql
stable
set search_path from current
as $$
    select format($sql$
        select e.event_id, e.at, e.recorded_at, e.series_id, s.subject::text, s.metric::text, e.quantity, e.member::text,
               e.idempotency_key::text, e.metadata, k.kind::text, k.corrects, k.correction_id, k.undone_by, k.counts
        from %I e
        join series s on s.series_id = e.series_id and s.stripe = 0
        left join event_kinds k on k.event_id = e.event_id
        $sql$, partition_name)
$$;

comment on function _archive_source(text) is 'The query for the rows of a partition, with the columns of archive_row.';
