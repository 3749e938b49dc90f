create or replace function _check_mapping(metric metrics, mapping report_metrics, old report_metrics)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_bucket  text := _reported_bucket((metric).aggregate, (mapping).mode, (metric).period);
    v_problem text;
    v_other   text;
begin
    perform _check_name('event_name', (mapping).event_name, 100), _check_word('mode', (mapping).mode, '{delta,event,last}');
    if exists (select from billers b where b.biller = (mapping).biller and b.sends <> 'usage') then
        raise exception using errcode = 'UM002', message = 'the biller is told of statements, not of usage', column = 'biller',
            detail = format('biller %s.', quote_literal((mapping).biller)), hint = 'Use a biller with another name for usage.';
    end if;
    select min(r.metric) into v_other
    from report_metrics r
    where r.biller = (mapping).biller and r.metric <> (mapping).metric and r.event_name = (mapping).event_name
      and 'last' in (r.mode, (mapping).mode);
    if v_other is not null and ((old).event_name, (old).mode) is distinct from ((mapping).event_name, (mapping).mode) then
        raise exception using errcode = '22023', message = 'the event name is used by another metric', column = 'event_name',
            detail = format('%s is reported as %s.', quote_literal(left(v_other, 80)), quote_literal((mapping).event_name)),
            hint = 'In mode last the biller keeps one value per customer and event name, so each metric needs its own event name. '
                'Metrics in mode delta or event may share one; they add up.';
    end if;
    perform _check_time('since', (mapping).since);
    if (mapping).mode <> 'event' and _bucket_start(v_bucket, (mapping).since) <> (mapping).since then
        raise exception using errcode = '22023', message = 'since is not the start of a bucket', column = 'since',
            detail = format('It lies within a bucket of one %s (UTC).', v_bucket),
            hint = 'Use the start of a bucket: a part of one cannot be reported.';
    end if;
    v_problem := _mode_problem((metric).aggregate, (metric).fine_bucket, (mapping).mode);
    if v_problem is not null then
        raise exception using errcode = 'UM002', message = 'the metric cannot be reported in this mode', column = 'mode',
            detail = format('%s is %s by %s with rollup %s, mode %s.', quote_literal((metric).key), (metric).aggregate,
                (metric).period, (metric).rollup, (mapping).mode),
            hint = v_problem;
    elsif ((mapping).mode = 'last') <> ((old).mode = 'last')
        and exists (select from reported r where r.metric = (mapping).metric and r.biller = (mapping).biller) then
        raise exception using
            errcode = 'UM002', message = 'cannot switch a reported metric to or from mode last', column = 'mode',
            detail = format('%s was %s, not %s.', quote_literal((metric).key), (old).mode, (mapping).mode),
            hint = 'Report it to a biller with another name.';
    end if;
end
$$;

comment on function _check_mapping(metrics, report_metrics, report_metrics) is
    'Refuses a mapping that is invalid (22004, 22023) or would report wrong totals (UM002), given the previous mapping.';

create or replace function _check_reported_definition(metric metrics)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_fine    text := (_check_reported_definition.metric).fine_bucket;
    v_mapping report_metrics;
begin
    select * into v_mapping from report_metrics r
    where r.metric = (_check_reported_definition.metric).key and r.event_name is not null
      and _mode_problem((_check_reported_definition.metric).aggregate, v_fine, r.mode) is not null
    limit 1;
    if v_mapping.metric is not null then
        raise exception using
            errcode = 'UM002', message = 'the metric cannot be reported with this definition', column = 'rollup',
            detail = format('%s is reported to %s as %s.', quote_literal(v_mapping.metric), quote_literal(v_mapping.biller), v_mapping.mode),
            hint = 'Change its mode first, or end the mapping: report_metric(metric, null).';
    end if;
end
$$;

comment on function _check_reported_definition(metrics) is
    'Refuses (UM002) a definition of a metric under which its current mappings could not be reported.';

-- Inlined: no SET, nothing outside pg_catalog. The fine bucket is the answer of _fine_bucket().
create or replace function _mode_problem(aggregate text, fine_bucket text, mode text)
returns text
language sql
immutable parallel safe
as $$
    select case
        when mode = 'event' and aggregate not in ('sum', 'count') then
            'Mode event needs a sum or count. A max or unique can use delta; any metric can use last.'
        when mode = 'delta' and aggregate in ('min', 'avg', 'last') then
            'A min, avg or last is not a sum of parts: use mode last.'
        when mode = 'delta' and aggregate in ('sum', 'count') and fine_bucket not in ('minute', 'hour') then
            'Mode delta needs hourly or finer rollups: define the metric with rollup hour, or use mode event or last.'
    end
$$;

comment on function _mode_problem(text, text, text) is
    'Why a metric with this aggregate and fine bucket cannot be reported in a mode, as a hint for the caller; null if it can.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _reported_bucket(aggregate text, mode text, period text)
returns text
language sql
immutable parallel safe
as $$
    select case when mode <> 'last' and aggregate in ('sum', 'count') then 'hour' else period end
$$;

comment on function _reported_bucket(text, text, text) is
    'The bucket that a metric is reported by: the hour where the parts add up to the whole, else the metric''s period.';

-- Inlined: no SET, nothing outside pg_catalog. 255 characters is the limit of report_subject() for a customer.
create or replace function _customer(mapped text, subject text, subject_is_customer boolean)
returns text
language sql
immutable parallel safe
as $$
    select coalesce(mapped, case when subject_is_customer and length(subject) <= 255 then subject end)
$$;

comment on function _customer(text, text, boolean) is
    'The biller''s customer of a subject, given the one that it is mapped to; null if it has none. A subject of more than 255 characters is '
    'never its own customer.';
