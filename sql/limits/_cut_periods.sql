-- What is used in the last part of a period is what the others leave of its total: usually it is the running one, and would need the log.
create or replace function _cut_periods(
    metric metrics, series series, periods top_up_segment[], top_ups top_ups[], taken tstzmultirange, now timestamptz
)
returns top_up_segment[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_segments top_up_segment[];
    v_used     numeric[];
    v_previous timestamptz;
    v_n        integer := 0;
    v_total    numeric;
begin
    v_segments := array(
        select (b.bound, coalesce(lead(b.bound) over parts, p.until), p.period, p.period_since, p.quota, p.used, not taken @> b.bound,
                p.rollover_since, p.rollover_left, p.rollover_min, p.rollover_max)::top_up_segment
        from unnest(_cut_periods.periods) p
        cross join lateral (
            select p.since as bound
            union
            select b.bound
            from unnest(_cut_periods.top_ups) t, unnest(array[t.since, t.expires_at]) b (bound)
            where b.bound > p.since and b.bound < coalesce(p.until, 'infinity')
            union
            select b.bound
            from unnest(taken) t, unnest(array[lower(t), upper(t)]) b (bound)
            where b.bound > p.since and b.bound < coalesce(p.until, 'infinity')
        ) b
        window parts as (partition by p.since order by b.bound)
        order by b.bound);
    if cardinality(v_segments) = cardinality(periods) then
        return v_segments;
    end if;
    v_used := _quantities(_cut_periods.metric, (_cut_periods.series).subject, array(
        select tstzrange(s.since, s.until)
        from unnest(v_segments) s
        where exists (select from unnest(v_segments) o where o.period_since = s.period_since and o.since > s.since)
        order by s.since));
    for n in 1 .. cardinality(v_segments) loop
        if v_segments[n].period_since is distinct from v_previous then
            v_previous := v_segments[n].period_since;
            v_total := v_segments[n].used;
        end if;
        if v_segments[n + 1].period_since = v_previous then
            v_n := v_n + 1;
            v_segments[n].used := v_used[v_n] + _held_at((_cut_periods.metric).key, (_cut_periods.series).subject, v_segments[n].since,
                                                         v_segments[n].until, _cut_periods.now);
            v_total := v_total - v_segments[n].used;
        else
            v_segments[n].used := v_total;
        end if;
    end loop;
    return v_segments;
end
$$;

comment on function _cut_periods(metrics, series, top_up_segment[], top_ups[], tstzmultirange, timestamptz) is
    'Cuts periods of one limit where a top-up begins or expires, with what is used and held in each part. taken: when top-ups raise another limit '
    'instead.';
