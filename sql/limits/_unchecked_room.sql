-- Events of the open fine bucket, which lies in the periods of all limits, add as much to coarse_total as to what is used of each limit. So what
-- every limit has left, and what is missing to the next mark, can be told by coarse_total alone, until the next fine bucket opens or a trailing
-- window moves. Usage beyond a quota is looked at each time, whatever the limit's action. A reservation that expires leaves more room, so the limits
-- are looked at again then. What settling less than was held leaves of a limit that top-ups raise depends on later usage too: limit_held is null, and
-- reservations are looked at each time.
create or replace function _note_room(series series, checks limit_check[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    s           series := _note_room.series;
    v_binding   limit_check := _binding_limit(checks);
    v_change_at timestamptz := least(_limits_change_at(s.metric, s.subject, _note_room.now), _window_moves_at(s.metric, checks, _note_room.now));
    v_is_raised boolean := _may_be_raised(s.metric, s.subject);
    v_below     numeric;
begin
    if not s.is_ordinary then
        return;
    end if;
    if v_is_raised or exists (select from unnest(checks) c where c.held > 0) then
        v_change_at := least(v_change_at, (
            select min(r.expires_at) from reservations r
            where r.metric = s.metric and r.subject = s.subject and r.state = 'held' and r.expires_at > _note_room.now));
    end if;
    if exists (select from unnest(checks) c where c.since > s.fine_start) or _has_top_up_bounds(s)
        or _has_shorter_limits(s.metric, s.subject, s.fine_start, s.fine_end) then
        v_below := '-infinity';
    else
        select s.coarse_total + min(b.missing) into v_below
        from unnest(checks) c
        cross join lateral (
            select _room(c.remaining, c.overrun) as missing
            union all
            select c.quota + c.every * (greatest(floor((c.used - c.quota) / c.every), 0) + 1) - c.used
            union all
            select c.quota * k / 100 - c.used
            from unnest(c.marks) k
            where c.action <> 'none' and not exists (
                select from fired_marks f
                where f.limit_id = c.limit_id and f.subject = s.subject and f.period_start = _marks_since(c) and f.kind = 'mark' and f.mark = k)
        ) b;
    end if;
    update series n set
        unchecked_below = coalesce(trim_scale(v_below), 'infinity'), unchecked_until = coalesce(v_change_at, 'infinity'),
        exhausted_at = trim_scale(s.coarse_total + v_binding.remaining), limited_by = v_binding.name, limit_quota = v_binding.quota,
        limit_used = trim_scale(v_binding.used - s.coarse_total), limit_held = case when not v_is_raised then trim_scale(v_binding.held) end
    where n.series_id = s.series_id and n.stripe = 0;
end
$$;

comment on function _note_room(series, limit_check[], timestamptz) is
    'Notes in the row of a series up to which total no event of the open fine bucket has to be checked. The caller has locked the row, and checks '
    'are those of an event in that bucket, as they are now.';

create or replace function _forget_room(series series)
returns void
language sql
volatile
set search_path from current
as $$
    update series s set unchecked_below = '-infinity'
    where s.series_id = (_forget_room.series).series_id and s.stripe = 0 and s.unchecked_below > '-infinity'
$$;

comment on function _forget_room(series) is
    'Makes the next event of a series look at the limits, because usage of another time has changed what they have left.';

create or replace function _is_unchecked(fine rollups[])
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return not exists (
        select from unnest(fine) a
        cross join lateral (
            select s.fine_start, s.coarse_total, s.unchecked_below, s.unchecked_until, s.revision = m.revision as is_current
            from series s
            join metrics m on m.key = s.metric
            where s.series_id = a.series_id and s.stripe = 0 and m.limited
            offset 0
        ) s
        where not (s.is_current and a.bucket_start = s.fine_start and s.coarse_total + a.total < s.unchecked_below
                   and clock_timestamp() < s.unchecked_until));
end
$$;

comment on function _is_unchecked(rollups[]) is
    'Whether amounts of fine buckets need no look at limits, as record() decides it for an event. The caller has locked the rows of series.';
