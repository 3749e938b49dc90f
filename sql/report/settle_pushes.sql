create or replace function settle_pushes(
    biller text,
    worker text,
    results jsonb,
    now timestamptz default now()
)
returns setof settled_push
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function settle_pushes(text, text, jsonb, timestamptz) is 'Not written yet: raises 0A000.';
