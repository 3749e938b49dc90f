create or replace function reconcile_range(
    biller text,
    customer text,
    event_name text,
    range_start timestamptz,
    step text,
    total numeric,
    now timestamptz default now()
)
returns reconciliations
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function reconcile_range(text, text, text, timestamptz, text, numeric, timestamptz) is 'Not written yet: raises 0A000.';
