create or replace function preview_pushes(
    biller text default 'stripe',
    open_hours boolean default true,
    now timestamptz default now()
)
returns setof planned_push
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function preview_pushes(text, boolean, timestamptz) is 'Not written yet: raises 0A000.';
