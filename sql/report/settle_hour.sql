create or replace function settle_hour(
    biller text,
    customer text,
    event_name text,
    hour timestamptz,
    total numeric,
    delivered_total numeric default null,
    now timestamptz default now()
)
returns settled_hour
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function settle_hour(text, text, text, timestamptz, numeric, numeric, timestamptz) is 'Not written yet: raises 0A000.';
