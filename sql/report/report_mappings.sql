create or replace function report_mappings(
    biller text default 'stripe'
)
returns setof report_metrics
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function report_mappings(text) is 'Not written yet: raises 0A000.';
