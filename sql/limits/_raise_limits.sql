-- One unit more takes one unit of what is left, or is covered by nothing, or displaces later usage, for which the same holds. So what nothing covers
-- rises by no more than the unit, and going back by its rise never goes back too far. (Except while one limit takes over from another of another
-- period, and the unit counts in the periods of both: then it may go back a little too far.)
create or replace function _room_with_top_ups(
    segments top_up_segment[], top_ups top_ups[], period text, period_since timestamptz, at timestamptz, out remaining numeric, out overrun numeric
)
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_draw  top_up_draw := _draw_top_ups(segments, _room_with_top_ups.top_ups, _room_with_top_ups.period, _room_with_top_ups.period_since, 0,
                                         _room_with_top_ups.at);
    v_rises numeric;
begin
    overrun := v_draw.overrun;
    remaining := v_draw.rollover_left + coalesce((
        select sum(v_draw.top_ups_left[n])
        from generate_subscripts(_room_with_top_ups.top_ups, 1) n
        where coalesce((_room_with_top_ups.top_ups[n]).expires_at, 'infinity') > _room_with_top_ups.at), 0) + (
        select greatest(max(s.quota) - sum(s.used), 0)
        from unnest(segments) s
        where s.period = _room_with_top_ups.period and s.period_since = _room_with_top_ups.period_since);
    while remaining > 0 loop
        v_rises := (_draw_top_ups(segments, _room_with_top_ups.top_ups, _room_with_top_ups.period, _room_with_top_ups.period_since,
                                  remaining, _room_with_top_ups.at)).uncovered - v_draw.uncovered;
        exit when v_rises = 0;
        remaining := greatest(remaining - v_rises, 0);
    end loop;
end
$$;

comment on function _room_with_top_ups(top_up_segment[], top_ups[], text, timestamptz, timestamptz) is
    'remaining: the most that can be used more at an instant, in the period that starts at period_since, without raising what nothing covers; '
    'overrun: what nothing covers in that period.';

create or replace function _usable_top_ups(metric text, subject text, with_voided boolean default false)
returns top_ups[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
begin
    return array(
        select t
        from top_ups t
        where t.metric = _usable_top_ups.metric and t.subject = _usable_top_ups.subject and (t.voided_at is null or with_voided)
        order by t.priority, t.expires_at, t.source = 'paid', t.since, t.top_up_id);
end
$$;

comment on function _usable_top_ups(text, text, boolean) is
    'The top-ups of a subject and metric in the order in which they are used; without those that are void, unless with_voided.';

create or replace function _raise_limits(
    metric metrics, series series, checks limit_check[], at timestamptz, now timestamptz, with_voided boolean default false
)
returns limit_check[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    m         metrics := _raise_limits.metric;
    s         series := _raise_limits.series;
    n         integer := case when m.aggregate in ('sum', 'count') then _raised_check(m, checks) end;
    v_top_ups top_ups[];
    v_room    record;
begin
    if n is null or not _may_be_raised(m.key, s.subject) and not with_voided then
        return checks;
    end if;
    v_top_ups := _usable_top_ups(m.key, s.subject, with_voided);
    v_room := _room_with_top_ups(
        _top_up_segments(m, s, checks[n].since, v_top_ups, _raise_limits.at, _raise_limits.now, false),
        v_top_ups, checks[n].period, checks[n].since, _raise_limits.at);
    checks[n].remaining := v_room.remaining;
    checks[n].overrun := v_room.overrun;
    return checks;
end
$$;

comment on function _raise_limits(metrics, series, limit_check[], timestamptz, timestamptz, boolean) is
    'The limits that count for an event at an instant; of the one that top-ups raise, with what may be used and what nothing covers. '
    'with_voided: as if no top-up had been voided.';
