create or replace function _forget_part(month timestamptz, part bigint)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    delete from dropped_rollups d where d.month = _forget_part.month and d.part = _forget_part.part;
    delete from dropped_members d where d.month = _forget_part.month and d.part = _forget_part.part;
    -- The month has its partition again. It is complete if it never had another one.
    update log_months m set partitions = m.partitions - 1, totals_kept = m.totals_kept - 1, dropped = m.partitions > 2
    where m.month = _forget_part.month;
    if not exists (select from _dropped_months()) then
        delete from dropped_late;
    end if;
end
$$;

comment on function _forget_part(timestamptz, bigint) is
    'Removes the totals that were kept of a partition whose rows are in the log again.';

-- Parts are numbered without gaps, because the next one gets the number totals_kept + 1.
create or replace function _renumber_last_part(month timestamptz, part bigint)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_last bigint := (select m.totals_kept + 1 from log_months m where m.month = _renumber_last_part.month);
begin
    if _renumber_last_part.part < v_last then
        update dropped_rollups d set part = _renumber_last_part.part where d.month = _renumber_last_part.month and d.part = v_last;
        update dropped_members d set part = _renumber_last_part.part where d.month = _renumber_last_part.month and d.part = v_last;
        update archives a set part = _renumber_last_part.part
        where a.month = _renumber_last_part.month and a.part = v_last and a.restored_at is null;
    end if;
end
$$;

comment on function _renumber_last_part(timestamptz, bigint) is 'Gives the last part of a month the number of the one that was restored.';
