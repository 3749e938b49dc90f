create or replace function define_biller(
    biller text default 'stripe',
    subject_is_customer boolean default null,
    dedup_window interval default null,
    dedup_margin interval default null,
    absence interval default null,
    max_age interval default null,
    max_ahead interval default null,
    grace interval default null,
    max_digits integer default null,
    too_old text default null,
    negative text default null,
    late text default null
)
returns billers
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function define_biller(text, boolean, interval, interval, interval, interval, interval, interval, integer, text, text, text) is 'Not written yet: raises 0A000.';
