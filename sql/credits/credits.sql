create or replace function credits(subject text, at timestamptz default now())
returns setof credit
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('credits') then perform _check_caller('credits'); end if;
    perform _check_name('subject', credits.subject), _check_here(credits.subject), _check_time('at', credits.at, required => true);
    return query
    select c.*
    from _credits_of(credits.subject, 'infinity') c
    where c.voided_at is null and _in_force(c.since, c.expires_at, credits.at);
end
$$;

comment on function credits(text, timestamptz) is
    'Returns the credits of a subject that would pay for a period that ends at a moment, in the order in which they are drawn, with what statements '
    'have drawn and what is left of each. Void ones are left out. Raises 22004 or 22023 for a bad value, UM008 for a subject that is on another '
    'shard or being moved. Example: BEGIN; SELECT credit_id > 0 AS ok '
    'FROM meter.grant_credit(''acct_1'', 50, ''EUR'', ''k'', since => ''2026-01-01''); SELECT amount, drawn, remaining, currency FROM '
    'meter.credits(''acct_1''); ROLLBACK;';
