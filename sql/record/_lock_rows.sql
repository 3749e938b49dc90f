create or replace function _lock_rows(amounts rollups[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    perform from (
        select distinct a.series_id, a.stripe from unnest(amounts) a order by a.series_id, a.stripe
    ) a
    cross join lateral (
        select from series s where s.series_id = a.series_id and s.stripe = a.stripe offset 0 for update
    ) s;
end
$$;

comment on function _lock_rows(rollups[]) is 'Locks the rows of series that amounts belong to, in the order of the whole package.';
