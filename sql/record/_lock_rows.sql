create or replace function _lock_rows(amounts rollups[])
returns bigint
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_rows bigint;
begin
    perform from (
        select distinct a.series_id, a.stripe from unnest(amounts) a order by a.series_id, a.stripe
    ) a
    cross join lateral (
        select from series s where s.series_id = a.series_id and s.stripe = a.stripe offset 0 for update
    ) s;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function _lock_rows(rollups[]) is
    'Locks the rows of series that amounts belong to, in the order of the whole package; returns how many there are.';
