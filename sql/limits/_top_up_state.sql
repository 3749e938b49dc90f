create or replace function _top_up_state(metric metrics, subject text, at timestamptz, now timestamptz)
returns top_up_state
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    m          metrics := _top_up_state.metric;
    v_series   series := _find_series_row(m, _top_up_state.subject);
    v_limit    effective_limit := _raised_limit(m, _top_up_state.subject, _top_up_state.at, _top_up_state.now);
    v_end      timestamptz := _top_up_state.at + interval '1 microsecond';
    v_segments top_up_segment[];
    v_used     numeric;
    v_draw     top_up_draw;
    v_state    top_up_state;
    v_balance  balance;
begin
    v_state.top_ups := _usable_top_ups(m.key, _top_up_state.subject);
    v_balance.since := coalesce(v_limit.since, _bucket_start(m.period, _top_up_state.at));
    v_balance.until := case when v_limit.limit_id is null then nullif(_bucket_end(m.period, v_balance.since), 'infinity') else v_limit.until end;
    v_balance.held := _held_at(m.key, _top_up_state.subject, v_balance.since, v_end, _top_up_state.now);
    if v_limit.limit_id is null then
        v_used := v_balance.held + (_quantities(m, _top_up_state.subject, array[tstzrange(v_balance.since, v_end)]))[1];
        v_draw := (array(select t.quantity from unnest(v_state.top_ups) with ordinality t order by t.ordinality),
                   0::numeric, 0::numeric, 0::numeric, 0::numeric)::top_up_draw;
    else
        v_segments := _top_up_segments(m, v_series, v_limit.since, v_state.top_ups, _top_up_state.at, _top_up_state.now, true);
        v_used := (select sum(s.used) from unnest(v_segments) s where s.period = v_limit.period and s.period_since = v_limit.since);
        v_draw := _draw_top_ups(v_segments, v_state.top_ups, v_limit.period, v_limit.since, 0, null);
    end if;
    select coalesce(sum((v_state.top_ups[n]).quantity), 0) + v_draw.rollover, coalesce(sum(v_draw.top_ups_left[n]), 0) + v_draw.rollover_left
    into v_balance.top_ups, v_balance.top_ups_left
    from generate_subscripts(v_state.top_ups, 1) n
    where _is_active(v_state.top_ups[n], _top_up_state.at);
    v_balance.quota := v_limit.quota;
    v_balance.used := v_used - v_balance.held;
    v_balance.overrun := v_draw.overrun;
    v_balance.remaining := greatest(v_limit.quota - v_used, 0) + case when v_limit.quota is not null then v_balance.top_ups_left end;
    v_balance.limited_by := v_limit.name;
    v_state.balance := v_balance;
    v_state.period := v_limit.period;
    v_state.draw := v_draw;
    return v_state;
end
$$;

comment on function _top_up_state(metrics, text, timestamptz, timestamptz) is
    'The balance of a subject at an instant, from the usage up to it, with the limits, top-ups and reservations of now. Raises 40001 as usage() '
    'does.';

create or replace function _raised_limit(metric metrics, subject text, at timestamptz, now timestamptz)
returns effective_limit
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_limit effective_limit;
begin
    if (_raised_limit.metric).limited then
        select e.* into v_limit
        from _effective_limits(_raised_limit.metric, _raised_limit.subject, _raised_limit.at, _raised_limit.now) e
        where e.counts and e.quota is not null and e.name = 'default' and _raised_rank((_raised_limit.metric).period, e.period) is not null
        order by _raised_rank((_raised_limit.metric).period, e.period)
        limit 1;
    end if;
    return v_limit;
end
$$;

comment on function _raised_limit(metrics, text, timestamptz, timestamptz) is
    'The limit that top-ups raise for usage at an instant, with its period; all fields are null without one.';

create or replace function _is_active(top_up top_ups, at timestamptz)
returns boolean
language sql
immutable
set search_path from current
as $$
    select top_up.since <= at and coalesce(top_up.expires_at, 'infinity') > at
$$;

comment on function _is_active(top_ups, timestamptz) is 'Whether a top-up, if it is not void, can be used at an instant.';

create or replace function _get_top_up_metric(metric text)
returns metrics
language plpgsql
stable
set search_path from current
as $$
declare
    v_metric metrics := _get_metric(metric);
begin
    if v_metric.aggregate not in ('sum', 'count') then
        raise exception using errcode = 'UM002', message = 'the metric cannot have top-ups', column = 'metric',
            detail = format('metric %s, aggregate %s.', quote_literal(left(metric, 80)), v_metric.aggregate),
            hint = 'Top-ups are units of a sum or count.';
    end if;
    return v_metric;
end
$$;

comment on function _get_top_up_metric(text) is 'The metric with this key. Raises UM001 for an unknown one, UM002 unless it is a sum or count.';
