-- Nearly every line is of one whole bucket: then it is two look-ups by index, in one statement for all lines.
create or replace function _closing_metrics(headers statements[], sealed sealed_subjects[])
returns setof metric_usage
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with lines as materialized (
        select h as header, w.subject, m, s.series_id, h.since, h.until,
               not m.carry and (h.part_starts is null or m.aggregate in ('sum', 'count')) and b.is_bucket as is_whole
        from unnest(headers) h
        join unnest(sealed) w on w.subject_id = h.subject_id
        cross join metrics m
        cross join lateral (
            select _bucket_start(m.coarse_bucket, h.since) = h.since and _bucket_end(m.coarse_bucket, h.since) = h.until as is_bucket offset 0
        ) b
        cross join lateral (
            select s.series_id from series s where s.metric = m.key and s.subject = w.subject and s.stripe = 0 offset 0
        ) s
    )
    select (l.header).statement_id, (l.m).key, (l.m).aggregate, (l.m).unit, u.event_count, u.quantity
    from lines l
    cross join lateral (
        select coalesce(sum(p.event_count), 0)::bigint as event_count,
               coalesce(_quantity((l.m).aggregate, sum(p.event_count)::bigint, sum(p.total), min(p.lowest), max(p.highest), (max(p.latest))[3]), 0)
                   as quantity
        from (
            select r.event_count, r.total, r.lowest, r.highest, r.latest
            from rollups r
            where r.series_id = l.series_id and r.bucket = (l.m).coarse_bucket and r.bucket_start = l.since
            union all
            select s.coarse_count, s.coarse_total, s.coarse_lowest, s.coarse_highest, s.coarse_latest
            from series s
            where s.series_id = l.series_id and s.coarse_start = l.since and s.coarse_last_at > '-infinity'
        ) p
        where l.is_whole
        having l.is_whole  -- without it, there is a row of no rows
        union all
        select u.event_count, u.quantity
        from _stated_usage(l.m, _statement_scope(l.header, l.subject), null) u
        where not l.is_whole
        offset 0
    ) u
    where ((l.m).retired_at is null or u.event_count <> 0 or u.quantity <> 0) and u.event_count is not null;
end
$$;

comment on function _closing_metrics(statements[], sealed_subjects[]) is
    'What new statements say of each metric that is in use, or was used in the period.';

-- as_of null: now.
create or replace function _stated_usage(
    metric metrics, scope invoice_scope, as_of timestamptz, out event_count bigint, out quantity numeric
)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := _stated_usage.metric;
begin
    if (scope).part_starts is null or v_metric.aggregate in ('sum', 'count') then
        select u.event_count, u.quantity into event_count, quantity
        from _measured_usage(v_metric, (scope).subject, (scope).since, (scope).until, as_of) u;
    else
        select sum(u.event_count)::bigint, _share_of_cycle(sum(u.quantity * p.weight), (scope).cycle_weight) into event_count, quantity
        from (
            select p.start, p.weight, lead(p.start, 1, (scope).until) over (order by p.start) as part_end
            from unnest((scope).part_starts, (scope).part_weights) p (start, weight)
        ) p
        cross join lateral _measured_usage(v_metric, (scope).subject, p.start, p.part_end, as_of) u;
    end if;
end
$$;

comment on function _stated_usage(metrics, invoice_scope, timestamptz) is
    'What a statement says of a metric, computed anew: now, or as of a watermark. Of a cycle in parts, all but sum and count are each part''s value '
    'times its share of the cycle, rounded once to 20 decimals. Raises UM006 and 40001 as usage() does.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _statement_scope(header statements, subject text)
returns invoice_scope
language sql
immutable
as $$
    select row(subject, header.since, header.until, null, null, null, null, null, null, header.part_starts, header.part_weights,
               header.cycle_weight, null)
$$;

comment on function _statement_scope(statements, text) is 'The period of a statement and its parts.';

create or replace function _stated_of(header statements, metric text)
returns metric_usage
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_usage metric_usage := ((header).statement_id, _stated_of.metric, null, null, 0, 0);
begin
    if (header).usage is not null then
        v_usage.quantity := coalesce(((header).usage -> _stated_of.metric ->> 'quantity')::numeric, 0);
        v_usage.event_count := coalesce(((header).usage -> _stated_of.metric ->> 'event_count')::bigint, 0);
    else
        select l.quantity, l.event_count into v_usage.quantity, v_usage.event_count
        from statement_lines l
        where l.statement_id = (header).statement_id and l.kind = 'usage' and l.metric = _stated_of.metric;
        v_usage.quantity := coalesce(v_usage.quantity, 0);
        v_usage.event_count := coalesce(v_usage.event_count, 0);
    end if;
    return v_usage;
end
$$;

comment on function _stated_of(statements, text) is 'What a statement says of a metric; 0 if it does not have it.';
