-- Usage takes the quota first. What is beyond takes what has come over from the period before, then top-ups that are active in its segment. So this
-- depends on nothing but limits, top-ups and usage, in whatever order they came.
create or replace function _draw_top_ups(
    segments top_up_segment[], top_ups top_ups[], period text, period_since timestamptz, extra numeric, extra_at timestamptz
)
returns top_up_draw
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    s          top_up_segment;
    v_draw     top_up_draw;
    v_left     numeric[] := array(select t.quantity from unnest(_draw_top_ups.top_ups) with ordinality t order by t.ordinality);
    v_since    timestamptz[] := array(select t.since from unnest(_draw_top_ups.top_ups) with ordinality t order by t.ordinality);
    v_expires  timestamptz[] := array(
        select coalesce(t.expires_at, 'infinity') from unnest(_draw_top_ups.top_ups) with ordinality t order by t.ordinality);
    -- Of each limit: the period that has begun, what is used of it, and what is left of what came over.
    v_limits   text[] := '{}';
    v_periods  timestamptz[] := '{}';
    v_totals   numeric[] := '{}';
    v_rollover numeric[] := '{}';
    i          integer;
    v_beyond   numeric;
    v_taken    numeric;
begin
    v_draw := (null, 0::numeric, 0::numeric, 0::numeric, 0::numeric)::top_up_draw;
    foreach s in array _settled_segments(segments, extra, extra_at) loop
        i := coalesce(array_position(v_limits, s.period), cardinality(v_limits) + 1);
        v_limits[i] := s.period;
        if v_periods[i] is distinct from s.period_since then
            v_periods[i] := s.period_since;
            v_totals[i] := 0;
            v_rollover[i] := _rolled_over(s, case when _draw_top_ups.extra_at >= s.rollover_since and _draw_top_ups.extra_at < s.period_since
                                                  then extra else 0 end);
        end if;
        v_beyond := greatest(v_totals[i] + s.used - s.quota, 0) - greatest(v_totals[i] - s.quota, 0);
        v_totals[i] := v_totals[i] + s.used;
        continue when not s.takes;
        if (s.period, s.period_since) = (_draw_top_ups.period, _draw_top_ups.period_since) and v_draw.rollover = 0 then
            v_draw.rollover := v_rollover[i];
        end if;
        v_taken := least(v_beyond, v_rollover[i]);
        v_rollover[i] := v_rollover[i] - v_taken;
        v_beyond := v_beyond - v_taken;
        for n in 1 .. case when v_beyond > 0 then cardinality(v_left) else 0 end loop
            if v_left[n] > 0 and v_since[n] <= s.since and v_expires[n] > s.since then
                v_taken := least(v_beyond, v_left[n]);
                v_left[n] := v_left[n] - v_taken;
                v_beyond := v_beyond - v_taken;
                exit when v_beyond = 0;
            end if;
        end loop;
        v_draw.uncovered := v_draw.uncovered + v_beyond;
        if (s.period, s.period_since) = (_draw_top_ups.period, _draw_top_ups.period_since) then
            v_draw.overrun := v_draw.overrun + v_beyond;
            v_draw.rollover_left := v_rollover[i];
        end if;
    end loop;
    v_draw.top_ups_left := v_left;
    return v_draw;
end
$$;

comment on function _draw_top_ups(top_up_segment[], top_ups[], text, timestamptz, numeric, timestamptz) is
    'What usage in these segments takes from these top-ups, which are given in the order in which they are used, and what nothing covers; of the '
    'period that starts at period_since, too. extra: how much more would be used at extra_at.';

-- An adjustment may take away more than was used since a top-up began or expired. Then it takes back the latest usage before, and what that took.
create or replace function _settled_segments(segments top_up_segment[], extra numeric, extra_at timestamptz)
returns top_up_segment[]
language plpgsql
immutable
set search_path from current
as $$
declare
    v_earlier integer;
begin
    for n in 1 .. coalesce(cardinality(segments), 0) loop
        if extra_at >= segments[n].since and extra_at < coalesce(segments[n].until, 'infinity') then
            segments[n].used := segments[n].used + extra;
        end if;
    end loop;
    if exists (select from unnest(segments) s where s.used < 0) then
        for n in reverse cardinality(segments) .. 2 loop
            continue when segments[n].used >= 0;
            v_earlier := (
                select max(e) from generate_series(1, n - 1) e
                where segments[e].period = segments[n].period and segments[e].period_since = segments[n].period_since);
            continue when v_earlier is null;
            segments[v_earlier].used := segments[v_earlier].used + segments[n].used;
            segments[n].used := 0;
        end loop;
    end if;
    return segments;
end
$$;

comment on function _settled_segments(top_up_segment[], numeric, timestamptz) is
    'The segments with extra used at extra_at, and without a segment that takes usage away while there is an earlier one of the same period.';

create or replace function _rolled_over(segment top_up_segment, extra numeric)
returns numeric
language sql
immutable
set search_path from current
as $$
    select case when segment.rollover_left is null then 0
                else least(segment.rollover_max, greatest(segment.rollover_min, segment.rollover_left - extra, 0)) end
$$;

comment on function _rolled_over(top_up_segment, numeric) is
    'What goes over to the period of a segment, if so much more were used in the period before.';
