create or replace function reconcilable_ranges(
    biller text default 'stripe',
    step text default 'day',
    max_rows integer default 100,
    since timestamptz default null,
    until timestamptz default null,
    now timestamptz default now()
)
returns setof reconcilable_range
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function reconcilable_ranges(text, text, integer, timestamptz, timestamptz, timestamptz) is 'Not written yet: raises 0A000.';
