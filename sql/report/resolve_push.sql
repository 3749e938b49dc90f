create or replace function resolve_push(
    identifier text,
    delivered boolean,
    now timestamptz default now()
)
returns pushes
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function resolve_push(text, boolean, timestamptz) is 'Not written yet: raises 0A000.';
