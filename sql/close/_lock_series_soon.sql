-- Whoever records waits behind every row that is locked here already. So what nobody holds is locked first, and then there are 300 milliseconds for
-- all the rest together, not for each. That is less than deadlock_timeout, so the order does not matter. Row 0 comes before the other stripes.
create or replace function _lock_series_soon(series_ids integer[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set lock_timeout to '300ms'
as $$
#variable_conflict use_column
declare
    v_give_up timestamptz := clock_timestamp() + interval '300 milliseconds';
    v_row     record;
    v_locked  integer[] := array(
        select s.series_id
        from unnest(series_ids) i (series_id)
        cross join lateral (
            select s.series_id from series s where s.series_id = i.series_id and s.stripe = 0 offset 0 for update skip locked
        ) s);
begin
    if cardinality(v_locked) < cardinality(series_ids) then
        for v_row in select i.series_id from unnest(series_ids) i (series_id) where i.series_id <> all (v_locked) loop
            perform _wait_until(v_give_up);
            perform from series s where s.series_id = v_row.series_id and s.stripe = 0 for update;
        end loop;
    end if;
    for v_row in
        select s.series_id, s.stripe
        from unnest(series_ids) i (series_id)
        cross join lateral (select s.series_id, s.stripe from series s where s.series_id = i.series_id and s.stripe > 0 offset 0) s
    loop
        perform _wait_until(v_give_up);
        perform from series s where s.series_id = v_row.series_id and s.stripe = v_row.stripe for update;
    end loop;
end
$$;

comment on function _lock_series_soon(integer[]) is
    'Locks all rows of series until the transaction ends. Raises 55P03 if they are not had within 300 milliseconds.';

create or replace function _wait_until(give_up timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform set_config('lock_timeout', greatest(1, ceil(1000 * extract(epoch from give_up - clock_timestamp())))::text, true);
end
$$;

comment on function _wait_until(timestamptz) is 'Sets lock_timeout so that the next lock is waited for until then, or not at all.';
