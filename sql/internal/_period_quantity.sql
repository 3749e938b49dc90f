create or replace function _period_quantity(metric metrics, subject text, period_start timestamptz)
returns numeric
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return coalesce((
        select _quantity((_period_quantity.metric).aggregate, sum(r.event_count)::bigint,
                   sum(r.total), min(r.lowest), max(r.highest),
                   (array_agg(r.latest order by r.last_at desc, r.last_event_id desc))[1])
        from rollups r
        where r.subject = _period_quantity.subject and r.metric = (_period_quantity.metric).key
          and r.bucket = (_period_quantity.metric).period and r.bucket_start = _period_quantity.period_start), 0);
end
$$;

comment on function _period_quantity(metrics, text, timestamptz) is
    'The aggregate of one subject in the period that starts at an instant, over all stripes.';
