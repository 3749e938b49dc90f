create or replace function _check_delivery_lease(lease interval)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if lease is null then
        raise exception using errcode = '22004', message = 'lease is null', column = 'lease', hint = 'Pass an interval such as 2 minutes.';
    elsif not isfinite(lease) or lease < interval '1 second' or lease > interval '1 hour' then
        raise exception using errcode = '22023', message = 'lease is not between 1 second and 1 hour', column = 'lease',
            detail = format('lease %s.', lease), hint = 'Use a lease longer than one attempt takes, such as 2 minutes.';
    end if;
end
$$;

comment on function _check_delivery_lease(interval) is 'Raises 22004 or 22023 for a lease that is null, or not between 1 second and 1 hour.';

create or replace function _parse_delivery_results(results jsonb)
returns delivery_result[]
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
            hint = 'Pass an array of objects with delivery_id, attempt, outcome and, optionally, message_id, status, error, retry_after (seconds).';
    end if;
    select left(r.value::text, 200) into v_bad
    from jsonb_array_elements(results) r
    where jsonb_typeof(r.value) <> 'object'
       or coalesce(r.value ->> 'delivery_id', '') !~ '^[0-9]{1,18}$' or coalesce(r.value ->> 'attempt', '') !~ '^[0-9]{1,9}$'
       or coalesce(r.value ->> 'outcome', '') not in ('delivered', 'failed', 'gone', 'unsent')
       or coalesce(r.value ->> 'status', '0') !~ '^[0-9]{1,3}$'
       or coalesce(r.value ->> 'retry_after', '0') !~ '^[0-9]{1,6}([.][0-9]{1,9})?$'
    limit 1;
    if v_bad is not null then
        raise exception using
            errcode = '22023', message = 'a result is invalid', column = 'results', detail = v_bad,
            hint = 'delivery_id, attempt and message_id: as claim_deliveries() returned them; outcome: delivered, failed, gone or unsent; '
                'status: the answer''s; retry_after: seconds.';
    end if;
    return array(
        select distinct on ((r.value ->> 'delivery_id')::bigint) (
               (r.value ->> 'delivery_id')::bigint, (r.value ->> 'attempt')::integer, r.value ->> 'message_id', r.value ->> 'outcome',
               (r.value ->> 'status')::integer, left(r.value ->> 'error', 1000),
               (r.value ->> 'retry_after')::numeric * interval '1 second')::delivery_result
        from jsonb_array_elements(results) r
        order by (r.value ->> 'delivery_id')::bigint, r.value ->> 'outcome' = 'delivered' desc, (r.value ->> 'attempt')::integer desc);
end
$$;

comment on function _parse_delivery_results(jsonb) is
    'Parses the results given to settle_deliveries() and returns one for each delivery: delivered if there is such a one, else that of the latest '
    'attempt. Raises 22004 for null, 22023 for an invalid result.';

create or replace function _next_delivery_attempt(failures integer, retry_after interval, now timestamptz)
returns timestamptz
language sql
volatile
set search_path from current
as $$
    select now + greatest(retry_after, (1 + random() / 10) *
        (array['5 seconds', '5 minutes', '30 minutes', '2 hours', '5 hours', '10 hours', '10 hours']::interval[])[failures])
$$;

comment on function _next_delivery_attempt(integer, interval, timestamptz) is
    'When a delivery that has failed that often is sent again: the delays of Standard Webhooks, up to a tenth longer, and not before retry_after. '
    'Null after the eighth failure: it is given up; null with a retry_after means nothing.';
