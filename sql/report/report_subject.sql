create or replace function report_subject(
    subject text,
    customer text,
    biller text default 'stripe'
)
returns report_subjects
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function report_subject(text, text, text) is 'Not written yet: raises 0A000.';
