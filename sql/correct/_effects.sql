create or replace function _effects(buckets corrected_bucket[])
returns setof correction_effect
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with limited as materialized (
        select b.metric, b.subject, array_agg(b) as buckets
        from unnest(buckets) b
        join metrics m on m.key = b.metric
        where m.limited
        group by 1, 2
    )
    select b.subject, b.metric, (b.after).bucket_start, nullif(_bucket_end(m.period, (b.after).bucket_start), 'infinity'), q.before, q.after,
           trim_scale(q.after - q.before), _holds_part_of(b.subject, (b.after).bucket_start, _bucket_end(m.period, (b.after).bucket_start)),
           _is_reported(m, b.subject, (b.after).bucket_start),
           case when l.buckets is null then '{}' else _limits_crossed(m, b.subject, (b.after).bucket_start, l.buckets) end, null::numeric, null::text
    from unnest(buckets) b
    join metrics m on m.key = b.metric and m.period = (b.after).bucket
    left join limited l on l.metric = b.metric and l.subject = b.subject
    cross join lateral (
        select coalesce(_quantity(b.aggregate, (b.before).event_count, (b.before).total, (b.before).lowest, (b.before).highest,
                                  (b.before).latest[3]), 0) as before,
               coalesce(_quantity(b.aggregate, (b.after).event_count, (b.after).total, (b.after).lowest, (b.after).highest,
                                  (b.after).latest[3]), 0) as after
        offset 0
    ) q
    order by b.subject, b.metric, 3;
end
$$;

comment on function _effects(corrected_bucket[]) is
    'What preview_correction() and approve_correction() return of the buckets that change, without amounts.';

create or replace function _is_reported(metric metrics, subject text, period_start timestamptz)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (_is_reported.metric).billers is not null and exists (
        select from reported d
        where d.subject = _is_reported.subject and d.metric = (_is_reported.metric).key and d.biller = any ((_is_reported.metric).billers)
          and d.bucket_start >= _is_reported.period_start and d.bucket_start < _bucket_end((_is_reported.metric).period, _is_reported.period_start));
end
$$;

comment on function _is_reported(metrics, text, timestamptz) is 'Whether usage of a period has been planned for a biller.';
