-- A hold counts as usage at its time. The row of a series tells when its latest event was: usually nothing has to be cut off after an instant.
create or replace function _period_amounts(
    metric metrics, series series, period text, since timestamptz, asked_since timestamptz, asked_until timestamptz, at timestamptz,
    now timestamptz, is_balance boolean
)
returns table (period_since timestamptz, period_until timestamptz, used numeric)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    m      metrics := _period_amounts.metric;
    s      series := _period_amounts.series;
    v_ends boolean := _period_amounts.is_balance and not _is_latest(s, _period_amounts.at);
begin
    return query
        select u.period_since, u.period_until, u.used
        from _period_usage(m, s, _period_amounts.period, _period_amounts.since, case
            when v_ends then _period_amounts.asked_since
            when _period_amounts.is_balance then coalesce(_period_amounts.asked_until, 'infinity')
            when _period_bucket(m, _period_amounts.period) is not null then 'infinity'
            else greatest(_period_amounts.at, _period_amounts.now, (
                select max(a.ahead_at) from series a where a.series_id = s.series_id)) + interval '1 microsecond' end) u;
    return query
        select w.since, w.until, sum(h.held)
        from reservations h
        cross join lateral _limit_window(m, _period_amounts.period, s.subject, h.at, _period_amounts.now) w
        where h.metric = m.key and h.subject = s.subject and h.state = 'held' and h.expires_at > _period_amounts.now
          and h.at >= _period_amounts.since and (h.at <= _period_amounts.at or not _period_amounts.is_balance)
        group by 1, 2;
    return query
        select _period_amounts.asked_since, _period_amounts.asked_until, case when not v_ends then 0 else (_quantities(
            m, s.subject, array[tstzrange(_period_amounts.asked_since, _period_amounts.at + interval '1 microsecond')]))[1] end;
end
$$;

comment on function _period_amounts(metrics, series, text, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, boolean) is
    'What is used and held in the periods of a limit from one that starts at since on; a period may come several times, and the one asked for, '
    '[asked_since, asked_until), comes at least once. is_balance: only what is not later than at counts.';

create or replace function _is_latest(series series, at timestamptz)
returns boolean
language sql
immutable
set search_path from current
as $$
    select series.series_id is null
        or not series.has_stripes and series.ahead_at is null and series.coarse_last_at <= _is_latest.at
           and series.fine_last_at <= _is_latest.at and series.coarse_last_at > '-infinity'
$$;

comment on function _is_latest(series, timestamptz) is
    'Whether the row of a series shows that no event is later than an instant. False if it does not show it.';

create or replace function _held_at(metric text, subject text, since timestamptz, until timestamptz, now timestamptz)
returns numeric
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select coalesce(sum(h.held), 0)
        from reservations h
        where h.metric = _held_at.metric and h.subject = _held_at.subject and h.state = 'held' and h.expires_at > _held_at.now
          and h.at >= _held_at.since and h.at < coalesce(_held_at.until, 'infinity'));
end
$$;

comment on function _held_at(text, text, timestamptz, timestamptz, timestamptz) is
    'What reservations that hold at an instant hold for usage in [since, until).';
