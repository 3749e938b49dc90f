create or replace function uncertain_hours(
    biller text default 'stripe',
    max_rows integer default 100,
    now timestamptz default now()
)
returns setof uncertain_hour
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function uncertain_hours(text, integer, timestamptz) is 'Not written yet: raises 0A000.';
