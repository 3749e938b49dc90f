create or replace function _lock_planning(biller text)
returns billers
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_biller billers;
begin
    perform _check_name('biller', _lock_planning.biller, 100), _check_read_committed();
    -- An index row holds the names of a subject, a metric and a biller, and is at most 2,704 bytes long.
    if octet_length(_lock_planning.biller) > 64
        and not exists (select from billers b where b.biller = _lock_planning.biller) then
        raise exception using errcode = '22023', message = 'a name is blank or too long', column = 'biller',
            detail = format('biller %s.', quote_literal(left(_lock_planning.biller, 80))), hint = 'Give at most 64 bytes.';
    end if;
    -- The biller's own row, which no other role can lock. Its key does not change, so references to it are not kept waiting.
    begin
        insert into billers (biller) values (_lock_planning.biller) on conflict (biller) do nothing;
        select * into strict v_biller from billers where biller = _lock_planning.biller for no key update;
    exception when lock_not_available then
        perform _raise_busy(format('biller %s', quote_literal(_lock_planning.biller)));
    end;
    return v_biller;
end
$$;

comment on function _lock_planning(text) is
    'Waits until nobody else plans for this biller or changes how it is reported to, and keeps others from it until the transaction '
    'ends; returns its rules, those by default if it is new. Raises 22004 or 22023 for a bad name, 25001 as _check_read_committed().';

-- Waiting for an hour to end saves pushes; for single events there is nothing to save. Periods consist of whole hours, or else are
-- shorter than a day and do not wait for an invoice.
create or replace function _ready(biller billers, open_hours boolean, now timestamptz)
returns table (metric text, until timestamptz)
language sql
stable
set search_path from current
as $$
    select r.metric, case
        when r.mode = 'event' then _shift(now, (_ready.biller).max_ahead)
        when open_hours or (
            m.period in ('day', 'week', 'month', 'year')
            and _bucket_end(m.period, _bucket_start(m.period, now)) <= _shift(now, (_ready.biller).grace)
        ) then least(_bucket_end('hour', _bucket_start('hour', now)), _shift(now, (_ready.biller).max_ahead))
        else _bucket_start('hour', now)
    end
    from report_metrics r
    join metrics m on m.key = r.metric
    where r.biller = (_ready.biller).biller and r.event_name is not null
$$;

comment on function _ready(billers, boolean, timestamptz) is
    'The metrics that are reported to a biller, and up to which time their usage is planned now: not what lies too far ahead, and of the '
    'hour that is open only single events, unless it is asked for or the period is about to end.';

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

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _setting(biller billers, mode text, reason text)
returns text
language sql
immutable parallel safe
as $$
    select case
        when reason in ('too_many_digits', 'ambiguous') then 'hold'
        when reason = 'negative' then (biller).negative
        when reason in ('too_old', 'late') then (
            select case when mode = 'last' and s.setting = 'restamp' then 'hold' else s.setting end
            from (select case reason when 'too_old' then (biller).too_old else (biller).late end as setting) s)
    end
$$;

comment on function _setting(billers, text, text) is
    'What a biller''s rules say about a push with a reason: hold, leave, send or restamp; null without a reason. A value of mode last is '
    'held where others are restamped, as it would overwrite the present period''s value.';

create or replace function _digits(value numeric)
returns integer
language sql
immutable parallel safe
as $$
    select length(ltrim(replace(trim_scale(abs(value))::text, '.', ''), '0'))
$$;

comment on function _digits(numeric) is 'How many digits a number has, without leading zeros and zeros at the end of a fraction.';

create or replace function _whole_second(at timestamptz)
returns timestamptz
language sql
immutable parallel safe
as $$
    select date_trunc('second', at at time zone interval '0') at time zone interval '0'
$$;

comment on function _whole_second(timestamptz) is 'The second that an instant lies in.';
