-- A part of an hour is stamped where the hour's latest usage was: a subscription may begin or end in between.
-- Of values (mode last) a biller keeps one per customer and event name: a second subject or metric would overwrite the first, and an old
-- period's value with the present time would overwrite the present one.
create or replace function _proposals(biller billers, queued unreported[], now timestamptz)
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
                       when _digits(u.value) > (_proposals.biller).max_digits then 'too_many_digits'
                       when u.value < 0 and u.mode <> 'last' and (_proposals.biller).negative <> 'send' then 'negative'
                       when t.stamped_at < _shift(now, - (_proposals.biller).max_age) then 'too_old'
                       when now > _shift(_bucket_end(u.period, _bucket_start(u.period, t.stamped_at)), (_proposals.biller).grace) then 'late'
                   end as reason
            from _unplanned(_proposals.biller, queued, now) u
            cross join lateral (select _whole_second(greatest(u.at, u.bucket_start)) as stamped_at) t
            where u.customer is not null
        ), compared as (
            select j.*, j.mode = 'last' and j.reason is distinct from 'too_many_digits' and (
                       lag(j.subject) over (
                           partition by j.customer, j.event_name, j.mode, j.bucket_start, j.reason = 'too_many_digits'
                           order by j.subject, j.metric) is not null
                       or _has_rival(_proposals.biller, j.subject, j.metric, j.customer, j.event_name, j.bucket_start,
                                     _bucket_end(j.period, j.bucket_start))
                   ) as ambiguous
            from judged j
        )
        select u.subject, u.metric, u.customer, u.event_name, trim_scale(u.value)::text, f.stamped_at,
               case s.setting when 'hold' then 'held' when 'leave' then 'left' else 'planned' end, r.reason,
               u.bucket_start, u.event_id, u.mode,
               _shift(nullif(_bucket_end(u.period, _bucket_start(u.period, f.stamped_at)), 'infinity'), (_proposals.biller).grace)
        from compared u
        cross join lateral (select case when u.ambiguous then 'ambiguous' else u.reason end as reason) r
        cross join lateral (select _setting(_proposals.biller, u.mode, r.reason) as setting) s
        cross join lateral (select case s.setting when 'restamp' then _whole_second(now) else u.stamped_at end as stamped_at) f
        order by u.subject, u.metric, u.bucket_start, u.event_id;
end
$$;

comment on function _proposals(billers, unreported[], timestamptz) is
    'The pushes that the usage on the queue makes, as far as it has a customer, each with what the biller''s rules say about it.';
