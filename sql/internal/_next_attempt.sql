-- Twice as long after each attempt, with some chance in it, so that what failed together is not tried together. An outage of the
-- biller that certainly counted nothing is over when it is over, so that is asked more often; what was not even sent (0) is as due as it was.
create or replace function _next_attempt(
    outcome text, attempts integer, retry_after interval, now timestamptz, not_after timestamptz
)
returns timestamptz
language sql
volatile
set search_path from current
as $$
    select case
        when outcome = 'not_applied' and retry_after = interval '0' then now
        else least(not_after, now + greatest(retry_after, interval '1 second' * (0.5 + random() / 2)
            * least(power(2, least(attempts, 12)), case when outcome = 'unknown' then 900 else 60 end)))
    end
$$;

comment on function _next_attempt(text, integer, interval, timestamptz, timestamptz) is
    'When a push is tried again after that many attempts, no later than not_after, when something else has to be done about it.';
