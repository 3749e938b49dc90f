-- Within a day (UTC), a window keeps its length, also if that is given in months.
create or replace function _window_moves_at(metric text, checks limit_check[], now timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    c          limit_check;
    v_oldest   text;
    v_moves_at timestamptz;
begin
    foreach c in array checks loop
        if c.is_trailing then
            v_oldest := coalesce(v_oldest, (select _oldest_bucket(m.fine_bucket) from metrics m where m.key = _window_moves_at.metric));
            v_moves_at := least(v_moves_at, _bucket_end('day', _bucket_start('day', now)), case when v_oldest <> 'never' then
                _shift(now, _bucket_end(v_oldest, c.since) - _add_duration(now, _parse_duration(c.period), -1, 'UTC')) end);
        end if;
    end loop;
    return v_moves_at;
end
$$;

comment on function _window_moves_at(text, limit_check[], timestamptz) is
    'The latest instant until which the trailing windows among these limits keep their starts; null without one.';

create or replace function _has_top_up_bounds(series series)
returns boolean
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select exists (
        select from top_ups t
        where t.metric = series.metric and t.subject = series.subject and t.voided_at is null
          and (t.since > series.fine_start and t.since < series.fine_end or t.expires_at > series.fine_start and t.expires_at < series.fine_end))
$$;

comment on function _has_top_up_bounds(series) is 'Whether a top-up begins or expires within the open fine bucket of a series.';

-- In a shorter period a version may still hold that the next period no longer has.
create or replace function _has_shorter_limits(metric text, subject text, since timestamptz, until timestamptz)
returns boolean
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select exists (
        select from limits l
        where l.metric = _has_shorter_limits.metric and (l.subject = _has_shorter_limits.subject or l.subject is null)
          and l.quota is not null and not l.removed
          and case when l.period = 'cycle' then upper(_cycle_at(_has_shorter_limits.subject, _has_shorter_limits.since))
                   when l.period in ('minute', 'hour', 'day', 'week', 'month', 'year')
                       then _bucket_end(l.period, _bucket_start(l.period, _has_shorter_limits.since)) end < _has_shorter_limits.until)
$$;

comment on function _has_shorter_limits(text, text, timestamptz, timestamptz) is
    'Whether a metric and subject have or had a limit whose period ends within a fine bucket [since, until).';

create or replace function _limits_change_at(metric text, subject text, now timestamptz)
returns timestamptz
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select least(
        (select min(l.since) from limits l
         where l.metric = _limits_change_at.metric and l.subject = _limits_change_at.subject and l.since > _limits_change_at.now),
        (select min(l.since) from limits l where l.metric = _limits_change_at.metric and l.subject is null and l.since > _limits_change_at.now),
        (select min(t.at) from subscriptions s, unnest(array[s.since, s.until]) t (at)
         where s.subject = _limits_change_at.subject and t.at > _limits_change_at.now))
$$;

comment on function _limits_change_at(text, text, timestamptz) is
    'When limits change by themselves next after an instant, because a version or a subscription begins or ends; null: never.';
