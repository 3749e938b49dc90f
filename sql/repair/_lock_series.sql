-- Nobody creates a stripe while row 0 is locked. So of a series that may get stripes, row 0 is locked before the others are looked for: then
-- nothing is left to lock later, out of order.
create or replace function _lock_series(series_ids integer[])
returns series[]
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set lock_timeout to '1s'
as $$
#variable_conflict use_column
declare
    v_id   integer;
    v_rows series[] := '{}';
begin
    if not exists (
        select from series s join metrics m on m.key = s.metric
        where s.series_id = any (series_ids) and s.stripe = 0 and (s.has_stripes or m.striped)
    ) then
        return array(
            select l.s
            from unnest(series_ids) i (series_id)
            cross join lateral (
                select s from series s where s.series_id = i.series_id order by s.stripe offset 0 for update
            ) l);
    end if;
    foreach v_id in array series_ids loop
        perform from series s where s.series_id = v_id and s.stripe = 0 for update;
        v_rows := v_rows || array(select s from series s where s.series_id = v_id order by s.stripe for update);
    end loop;
    return v_rows;
end
$$;

comment on function _lock_series(integer[]) is
    'Locks all rows of series in the given order, which is that of the package, until the transaction ends, and returns them.';
