create or replace function billers()
returns setof billers
language sql
stable
security definer
set search_path from current
as $$
    select b.* from billers b where not _is_open('billers') or _check_caller('billers') order by b.biller
$$;

comment on function billers() is
    'Returns the billers by name, each with its reporting policy, as define_biller() does. '
    'Example: SELECT biller, sends, too_old, negative, late FROM meter.billers();';
