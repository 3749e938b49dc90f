-- Answers from the log alone, for what rollups do not know: when something was recorded. Windows are given by their starts, each ending where the
-- next one starts. Sums take all rows; of the other aggregates, what was void at that time is left out.
create or replace function _logged_usage(
    metric metrics, series_id integer, starts timestamptz[], until timestamptz, recorded_after timestamptz, recorded_until timestamptz
)
returns table (n integer, event_count bigint, quantity numeric)
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_aggregate text := (_logged_usage.metric).aggregate;
    v_since     timestamptz := starts[1];
    v_until     timestamptz := coalesce(_logged_usage.until, 'infinity');
    v_kinds     boolean := exists (select from event_kinds k where k.series_id = _logged_usage.series_id);
    v_left_out  bigint[] := case
        when v_kinds and v_aggregate in ('min', 'max', 'last', 'unique')
            then _left_out_as_of(_logged_usage.series_id, v_since, v_until, recorded_until)
        else '{}' end;
begin
    return query
    select g.n, g.event_count, coalesce(_quantity(v_aggregate, g.event_count, g.total, g.lowest, g.highest, g.latest), 0)
    from (
        select width_bucket(e.at, starts) as n,
               case when v_kinds then sum(coalesce((
                   select k.counts from event_kinds k where v_kinds and k.event_id = e.event_id), 1))::bigint else count(*) end as event_count,
               case v_aggregate when 'unique' then count(distinct e.member) else sum(e.quantity) end as total,
               min(e.quantity) as lowest, max(e.quantity) as highest,
               (max(_latest(e.at, e.event_id, e.quantity)) filter (where v_aggregate = 'last'))[3] as latest
        from events e
        where e.series_id = _logged_usage.series_id and e.at >= v_since and e.at < v_until
          and e.recorded_at > _logged_usage.recorded_after and e.recorded_at <= _logged_usage.recorded_until
          and e.event_id <> all (v_left_out)
        group by 1
    ) g;
    perform _check_edges(_logged_usage.metric, _logged_usage.series_id, (v_since, v_until, v_until, v_until, v_until, v_until)::window_cut,
        'What was recorded when is known from the log only. Use a window after the dropped months.');
end
$$;

comment on function _logged_usage(metrics, integer, timestamptz[], timestamptz, timestamptz, timestamptz) is
    'The usage of a series by those rows of the log whose recorded_at is after recorded_after and not after recorded_until, in each window that '
    'has such rows; n: its position in starts. Raises UM006 and 40001 as _check_edges() does.';

-- A void counts from when it was recorded, until the one that took it back was recorded.
create or replace function _left_out_as_of(series_id integer, since timestamptz, until timestamptz, as_of timestamptz)
returns bigint[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return coalesce((
        select array_agg(k.event_id) || coalesce(array_agg(k.corrects) filter (where u.recorded_at is null or u.recorded_at > as_of), '{}')
        from event_kinds k
        left join lateral (select u.recorded_at from event_kinds u where u.event_id = k.undone_by offset 0) u on true
        where k.series_id = _left_out_as_of.series_id and k.at >= _left_out_as_of.since and k.at < _left_out_as_of.until
          and k.kind = 'void' and k.recorded_at <= as_of), '{}');
end
$$;

comment on function _left_out_as_of(integer, timestamptz, timestamptz, timestamptz) is
    'The rows of the log of a series in [since, until) that did not count as of a time: voids, and what they took back.';
