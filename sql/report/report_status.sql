create or replace function report_status(
    biller text default 'stripe'
)
returns setof push_status
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function report_status(text) is 'Not written yet: raises 0A000.';
