create or replace function claim_pushes(
    biller text,
    worker text,
    max_pushes integer default 100,
    lease interval default '00:02:00',
    now timestamptz default now()
)
returns setof claimed_push
language plpgsql
volatile
security definer
set search_path from current
as $$
begin
    raise exception using errcode = '0A000', message = 'not written yet', hint = 'Wait.';
end
$$;

comment on function claim_pushes(text, text, integer, interval, timestamptz) is 'Not written yet: raises 0A000.';
