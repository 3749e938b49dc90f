create or replace function plan_pushes(
    biller text default 'stripe',
    open_hours boolean default true,
    max_rows integer default 10000,
    now timestamptz default now()
)
returns bigint
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function plan_pushes(text, boolean, integer, timestamptz) is 'Not written yet: raises 0A000.';
