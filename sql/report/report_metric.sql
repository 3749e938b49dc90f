create or replace function report_metric(
    metric text,
    event_name text,
    mode text default 'delta',
    biller text default 'stripe',
    since timestamptz default null
)
returns report_metrics
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function report_metric(text, text, text, text, timestamptz) is 'Not written yet: raises 0A000.';
