-- Waiting for an hour to end saves pushes, except for single events. A period of a day or longer consists of whole hours; shorter ones
-- do not end with an invoice.
create or replace function _planning_cutoffs(biller billers, open_hours boolean, now timestamptz)
returns table (metric text, until timestamptz)
language sql
stable
set search_path from current
as $$
    select r.metric, case
        when r.mode = 'event' then _shift(now, (_planning_cutoffs.biller).max_ahead)
        when open_hours or (
            m.period in ('day', 'week', 'month', 'year')
            and _bucket_end(m.period, _bucket_start(m.period, now)) <= _shift(now, (_planning_cutoffs.biller).grace)
        ) then least(_bucket_end('hour', _bucket_start('hour', now)), _shift(now, (_planning_cutoffs.biller).max_ahead))
        else _bucket_start('hour', now)
    end
    from report_metrics r
    join metrics m on m.key = r.metric
    where r.biller = (_planning_cutoffs.biller).biller and r.event_name is not null
$$;

comment on function _planning_cutoffs(billers, boolean, timestamptz) is
    'The metrics that are reported to a biller, and the time before which their usage is planned now. Usage further ahead than max_ahead '
    'waits. The current hour is included for single events, with open_hours, and when the period is about to end.';

-- A delta has the time of the hour's latest usage, because a subscription may begin or end within the hour.
-- In mode last the biller keeps one value for each customer and event name. A second subject or metric would overwrite the first, and an
-- old period's value with the present time would overwrite the current one.
-- OFFSET 0: each of these values is computed once, and the functions that take it are inlined.
create or replace function _candidate_pushes(biller billers, queued unreported[], now timestamptz)
returns setof planned_push
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        with judged as (
            select u.subject, u.metric, u.customer, u.event_name, u.bucket_start, u.event_id, u.mode, u.period, u.value, t.stamped_at,
                   case
                       when _digit_count(u.value) > (_candidate_pushes.biller).max_digits then 'too_many_digits'
                       when u.value < 0 and u.mode <> 'last' and (_candidate_pushes.biller).negative <> 'send' then 'negative'
                       when t.stamped_at < _shift(now, - (_candidate_pushes.biller).max_age) then 'too_old'
                       when now > _shift(_bucket_end(u.period, _bucket_start(u.period, t.stamped_at)), (_candidate_pushes.biller).grace) then 'late'
                   end as reason
            from _unplanned_usage(_candidate_pushes.biller, queued, now) u
            cross join lateral (select _whole_second(greatest(u.at, u.bucket_start)) as stamped_at offset 0) t
            where u.customer is not null
        ), compared as (
            select j.*, j.mode = 'last' and j.reason is distinct from 'too_many_digits' and (
                       lag(j.subject) over (
                           partition by j.customer, j.event_name, j.mode, j.bucket_start, j.reason = 'too_many_digits'
                           order by j.subject, j.metric) is not null
                       or _has_competing_value(_candidate_pushes.biller, j.subject, j.metric, j.customer, j.event_name, j.bucket_start,
                                               _bucket_end(j.period, j.bucket_start))
                   ) as ambiguous
            from judged j
        )
        select u.subject, u.metric, u.customer, u.event_name, trim_scale(u.value)::text, f.stamped_at,
               case s.action when 'hold' then 'held' when 'leave' then 'left' else 'planned' end, r.reason,
               u.bucket_start, u.event_id, u.mode,
               _shift(nullif(_bucket_end(u.period, _bucket_start(u.period, f.stamped_at)), 'infinity'), (_candidate_pushes.biller).grace),
               null::bigint, null::integer, null::text, null::timestamptz, null::timestamptz
        from compared u
        cross join lateral (select case when u.ambiguous then 'ambiguous' else u.reason end as reason offset 0) r
        cross join lateral (select _policy_action(_candidate_pushes.biller, u.mode, r.reason) as action offset 0) s
        cross join lateral (select case s.action when 'restamp' then _whole_second(now) else u.stamped_at end as stamped_at offset 0) f
        order by u.subject, u.metric, u.bucket_start, u.event_id;
end
$$;

comment on function _candidate_pushes(billers, unreported[], timestamptz) is
    'The pushes that queued usage results in, each with the state and reason that the biller''s policy gives it. Usage without a customer '
    'is left out.';

create or replace function _digit_count(value numeric)
returns integer
language sql
immutable parallel safe
as $$
    select length(ltrim(replace(trim_scale(abs(value))::text, '.', ''), '0'))
$$;

comment on function _digit_count(numeric) is 'The number of digits of a number, without leading zeros and trailing zeros of a fraction.';

create or replace function _whole_second(at timestamptz)
returns timestamptz
language sql
immutable parallel safe
as $$
    select date_trunc('second', at at time zone interval '0') at time zone interval '0'
$$;

comment on function _whole_second(timestamptz) is 'A time truncated to the second.';
