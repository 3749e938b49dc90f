-- An interval without a unit is read as seconds, and "13 m" as minutes: a floor of one day keeps a slip from dropping the whole log.
create or replace function _check_keep(keep interval)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if not isfinite(keep) or keep not between interval '1 day' and interval '1000 years' or least(
        extract(year from keep), extract(month from keep), extract(day from keep),
        extract(hour from keep), extract(minute from keep), extract(second from keep)) < 0 then
        raise exception using
            errcode = '22023', message = 'keep is not from one day to 1000 years, or has parts that are negative', column = 'keep',
            detail = format('keep %s.', keep),
            hint = 'Give how long events are kept, with the unit, such as 13 months; null keeps them all.';
    end if;
end
$$;

comment on function _check_keep(interval) is
    'Refuses (22023) an infinite, negative, mixed, very short or very long time for which events are to be kept; null passes.';
