-- Of several results for one push, delivered wins, else the result of the latest attempt.
create or replace function _parse_results(results jsonb)
returns push_result[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_bad text;
begin
    if results is null or jsonb_typeof(results) <> 'array' then
        raise exception using
            errcode = case when results is null then '22004' else '22023' end,
            message = 'results is not a JSON array', column = 'results', detail = format('It is %s.', coalesce(jsonb_typeof(results), 'null')),
            hint = 'Pass an array of objects with push_id, attempt, outcome and, optionally, identifier, error and retry_after (seconds).';
    end if;
    select left(r.value::text, 200) into v_bad
    from jsonb_array_elements(results) r
    where jsonb_typeof(r.value) <> 'object'
       or coalesce(r.value ->> 'push_id', '') !~ '^[0-9]{1,18}$' or coalesce(r.value ->> 'attempt', '') !~ '^[0-9]{1,9}$'
       or coalesce(r.value ->> 'outcome', '') not in ('delivered', 'rejected', 'unknown', 'not_applied')
       or coalesce(r.value ->> 'retry_after', '0') !~ '^[0-9]{1,6}([.][0-9]{1,9})?$'
    limit 1;
    if v_bad is not null then
        raise exception using
            errcode = '22023', message = 'a result is invalid', column = 'results', detail = v_bad,
            hint = 'push_id, attempt and identifier: as claim_pushes() returned them; outcome: delivered, rejected, unknown or not_applied; '
                'retry_after: seconds.';
    end if;
    return array(
        select distinct on ((r.value ->> 'push_id')::bigint) (
               (r.value ->> 'push_id')::bigint, (r.value ->> 'attempt')::integer, r.value ->> 'outcome', left(r.value ->> 'error', 1000),
               (r.value ->> 'retry_after')::numeric * interval '1 second', r.value ->> 'identifier')::push_result
        from jsonb_array_elements(results) r
        order by (r.value ->> 'push_id')::bigint, r.value ->> 'outcome' = 'delivered' desc, (r.value ->> 'attempt')::integer desc);
end
$$;

comment on function _parse_results(jsonb) is
    'Parses the results given to settle_pushes() and returns one for each push. Raises 22004 for null, 22023 for an invalid result.';

-- The delay doubles with each attempt, up to 15 minutes if the outcome is unknown and 1 minute if the biller did not count the push.
-- Jitter spreads pushes that failed together. A push that was not sent (retry_after 0) is due immediately.
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
    'When a push is sent again, given its number of attempts so far: exponential backoff with jitter, not later than not_after.';

create or replace function _note_late_deliveries(biller text, push_ids bigint[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    with late as (
        update pushes p set error = 'delivered after it had been replaced'
        where p.push_id = any (push_ids) and p.state = 'replaced' and p.reason is distinct from 'moved' and p.mode <> 'last'
        returning p.customer, p.event_name, p.stamped_at
    )
    insert into reconciliations (biller, customer, event_name, step, range_start, recheck)
    select distinct _note_late_deliveries.biller, customer, event_name, 'hour', _bucket_start('hour', stamped_at), true from late
    order by 2, 3, 5
    on conflict (biller, customer, event_name, step, range_start) do update set recheck = true;
end
$$;

comment on function _note_late_deliveries(text, bigint[]) is
    'Marks for reconciliation the hours of pushes of a biller that were reported as delivered after they had been replaced; not those of a subject '
    'that has moved, which its new home has.';
