create or replace function pushes(
    biller text default 'stripe',
    state text default null,
    subject text default null,
    max_rows integer default 100,
    after_id bigint default null
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

comment on function pushes(text, text, text, integer, bigint) is 'Not written yet: raises 0A000.';
