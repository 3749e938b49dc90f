create or replace function taxes(subject text, at timestamptz default now())
returns setof tax
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('taxes') then perform _check_caller('taxes'); end if;
    perform _check_name('subject', taxes.subject), _check_here(taxes.subject), _check_time('at', taxes.at, required => true);
    return query select t.* from _taxes_of(taxes.subject, taxes.at, 'infinity') o cross join lateral _as_tax(o) t;
end
$$;

comment on function taxes(text, timestamptz) is
    'Returns the taxes of a subject for a period that ends at a moment. Raises 22004 or 22023 for a bad value, UM008 for a subject that is on '
    'another shard or being moved. Example: SELECT name, percent, '
    'inclusive FROM meter.taxes(''acct_1'');';
