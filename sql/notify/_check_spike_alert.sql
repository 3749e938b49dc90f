create or replace function _check_spike_alert(metric metrics, factor numeric, subject text, within interval, baseline interval)
returns void
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_length  interval;
    v_problem text;
begin
    if subject is not null then
        perform _check_name('subject', _check_spike_alert.subject, 512);
    end if;
    if factor is null or within is null or baseline is null then
        raise exception using errcode = '22004', message = 'factor, within or baseline is null', column = case when factor is null then 'factor'
            when within is null then 'within' else 'baseline' end, hint = 'Pass a factor such as 3, and intervals such as 1 hour and 14 days.';
    end if;
    v_problem := case
        when factor <= 1 or factor = 'NaN' or factor > 1000000 then 'factor'
        when not isfinite(within) or extract(year from within) <> 0 or extract(month from within) <> 0
            or within < interval '1 minute' or within > interval '31 days' then 'within'
        when not isfinite(baseline) or extract(year from baseline) <> 0 or extract(month from baseline) <> 0
            or baseline < 3 * within or baseline > interval '366 days' then 'baseline'
    end;
    if v_problem is not null then
        raise exception using errcode = '22023', message = format('%s is out of range', v_problem), column = v_problem,
            detail = format('factor %s, within %s, baseline %s.', left(factor::text, 40), within, baseline),
            hint = 'factor: above 1, at most 1,000,000; within: 1 minute to 31 days; baseline: three times that to 366 days; no months.';
    end if;
    v_length := case metric.fine_bucket
        when 'minute' then interval '1 minute' when 'hour' then interval '1 hour' when 'day' then interval '24 hours' end;
    if metric.aggregate not in ('sum', 'count') then
        raise exception using errcode = 'UM002', message = 'the metric cannot be judged for spikes', column = 'metric',
            detail = format('metric %s: %s.', quote_literal(metric.key), metric.aggregate), hint = 'Only a sum or count adds up.';
    elsif v_length is null or mod(extract(epoch from within), extract(epoch from v_length)) <> 0 then
        raise exception using errcode = 'UM002', message = 'the metric cannot be judged for spikes', column = 'within',
            detail = format('metric %s: buckets of one %s; within %s.', quote_literal(metric.key), metric.fine_bucket, within),
            hint = 'Use a window of whole hours (minutes, days), as the metric''s rollup is.';
    end if;
end
$$;

comment on function _check_spike_alert(metrics, numeric, text, interval, interval) is
    'Raises 22004 or 22023 for a bad value of a spike alert, UM002 for a metric that does not add up or has coarser rollups.';
