create or replace function retry_pushes(
    biller text default 'stripe',
    identifier text default null,
    now timestamptz default now()
)
returns setof pushes
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function retry_pushes(text, text, timestamptz) is 'Not written yet: raises 0A000.';
