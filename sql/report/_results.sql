-- Of several results for one push the best informed counts: that it was delivered, else that of the latest attempt.
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
            hint = 'Give an array of objects with push_id, attempt, outcome, and optionally identifier, error and retry_after (seconds).';
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
            errcode = '22023', message = 'a result is not understood', column = 'results', detail = v_bad,
            hint = 'push_id, attempt and identifier are those of claim_pushes(); outcome: delivered, rejected, unknown or not_applied; '
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
    'The results that settle_pushes() is given, one per push. Raises 22004 for null, 22023 for what is not understood.';

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
        where p.push_id = any (push_ids) and p.biller = _note_late_deliveries.biller and p.state = 'replaced' and p.mode <> 'last'
        returning p.customer, p.event_name, p.stamped_at
    )
    insert into reconciliations (biller, customer, event_name, step, range_start, recheck)
    select distinct _note_late_deliveries.biller, customer, event_name, 'hour', _bucket_start('hour', stamped_at), true from late
    order by 2, 3, 5
    on conflict (biller, customer, event_name, step, range_start) do update set recheck = true;
end
$$;

comment on function _note_late_deliveries(text, bigint[]) is
    'Puts the hours of pushes that are said to be delivered, but have been replaced by others, up for reconciliation.';

create or replace function _check_step(step text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if step is null or step not in ('hour', 'day') then
        raise exception using
            errcode = case when step is null then '22004' else '22023' end, message = 'step is not a known word', column = 'step',
            detail = format('step %s.', quote_nullable(left(step, 80))), hint = 'Use hour or day.';
    end if;
end
$$;

comment on function _check_step(text) is 'Refuses a null (22004) or unknown (22023) step of a reconciliation.';

create or replace function _check_total(total numeric)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if total is null then
        raise exception using errcode = '22004', message = 'total is null', column = 'total', hint = 'Give 0 for a range without usage.';
    elsif total in ('NaN', 'Infinity', '-Infinity') then
        raise exception using errcode = '22023', message = 'total is not finite', column = 'total', hint = 'Give the biller''s total as it is.';
    end if;
end
$$;

comment on function _check_total(numeric) is 'Refuses a null (22004) or not finite (22023) total.';
