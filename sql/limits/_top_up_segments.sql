-- Only periods of which more is used than the quota take anything from top-ups, so only they are cut, and the one that is asked for. The first
-- period is that of the earliest top-up which can have a part in it: top-ups whose times overlap share what is beyond a quota.
create or replace function _first_top_up(top_ups top_ups[], since timestamptz)
returns timestamptz
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_first timestamptz := _first_top_up.since;
    v_next  timestamptz;
begin
    loop
        select min(t.since) into v_next
        from unnest(_first_top_up.top_ups) t
        where t.since < v_first and coalesce(t.expires_at, 'infinity') > v_first;
        exit when v_next is null;
        v_first := v_next;
    end loop;
    return v_first;
end
$$;

comment on function _first_top_up(top_ups[], timestamptz) is
    'The earliest start of top-ups that are active at an instant, or overlap such ones; the instant if there are none.';

create or replace function _top_up_segments(
    metric metrics, series series, asked_since timestamptz, top_ups top_ups[], at timestamptz, now timestamptz, is_balance boolean
)
returns top_up_segment[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    m          metrics := _top_up_segments.metric;
    s          series := _top_up_segments.series;
    v_periods  text[] := _raised_words(m, s.subject);
    v_first    timestamptz := greatest(_first_top_up(_top_up_segments.top_ups, _top_up_segments.asked_since), '1970-01-01 00:00:00+00');
    v_part     top_up_segment[];
    v_segments top_up_segment[] := '{}';
    v_taken    tstzmultirange := '{}';
begin
    for n in 1 .. cardinality(v_periods) loop
        v_part := _raised_periods(m, s, v_periods[n], v_first, _top_up_segments.at, _top_up_segments.now, _top_up_segments.is_balance);
        v_segments := v_segments || _cut_periods(m, s, v_part, _top_up_segments.top_ups, v_taken, _top_up_segments.now);
        if n < cardinality(v_periods) then
            v_taken := v_taken + _raised_times(m, s.subject, v_periods[n], _top_up_segments.now);
        end if;
    end loop;
    if cardinality(v_periods) > 1 then
        v_segments := array(select g from unnest(v_segments) g order by g.since, g.period);
    end if;
    return v_segments;
end
$$;

comment on function _top_up_segments(metrics, series, timestamptz, top_ups[], timestamptz, timestamptz, boolean) is
    'The segments, in the order of time, of all periods that take from top-ups, and of the period that contains an instant, which starts at '
    'asked_since. Where limits named default have several periods, each takes only while it is the one that top-ups raise.';
