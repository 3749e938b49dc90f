create or replace function fail_pushes(
    biller text,
    event_id text,
    identifiers text[],
    code text,
    event_name text default null,
    since timestamptz default null,
    until timestamptz default null,
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

comment on function fail_pushes(text, text, text[], text, text, timestamptz, timestamptz, timestamptz) is 'Not written yet: raises 0A000.';
