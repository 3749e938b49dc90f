create or replace function release_pushes(
    biller text,
    worker text,
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

comment on function release_pushes(text, text, timestamptz) is 'Not written yet: raises 0A000.';
