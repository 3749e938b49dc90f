create or replace function reconciliation(
    biller text default 'stripe'
)
returns setof reconciliations
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function reconciliation(text) is 'Not written yet: raises 0A000.';
