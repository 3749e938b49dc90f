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
    perform _check_name('event_name', (mapping).event_name, 100);
    if (mapping).mode not in ('delta', 'event', 'last') then
        raise exception using errcode = '22023', message = 'mode is not a known word', column = 'mode',
            detail = format('mode %s.', quote_literal(left((mapping).mode, 80))), hint = 'Use delta, event or last.';
    end if;
    select min(r.metric) into v_other
    from report_metrics r
    where r.biller = (mapping).biller and r.metric <> (mapping).metric and r.event_name = (mapping).event_name
      and 'last' in (r.mode, (mapping).mode);
    if v_other is not null and ((old).event_name, (old).mode) is distinct from ((mapping).event_name, (mapping).mode) then
        raise exception using errcode = '22023', message = 'the event name belongs to another metric', column = 'event_name',
            detail = format('%s is reported as %s.', quote_literal(left(v_other, 80)), quote_literal((mapping).event_name)),
            hint = 'In mode last the biller keeps one value per customer and event name: give each metric an event name of its own. '
                'Metrics in mode delta or event may share one, and add up.';
    end if;
    perform _check_time('since', (mapping).since);
    if (mapping).mode <> 'event' and _bucket_start(v_bucket, (mapping).since) <> (mapping).since then
        raise exception using errcode = '22023', message = 'since is not where a bucket begins', column = 'since',
            detail = format('It lies inside of a %s (UTC).', v_bucket), hint = 'Give the first instant of one: part of it cannot be reported.';
    end if;
    v_problem := _mode_problem((metric).aggregate, _fine_bucket((metric).period, (metric).rollup), (mapping).mode);
    if v_problem is not null then
        raise exception using errcode = 'UM002', message = 'the metric cannot be reported in this mode', column = 'mode',
            detail = format('%s is %s by %s with rollup %s, mode %s.', quote_literal((metric).key), (metric).aggregate,
                (metric).period, (metric).rollup, (mapping).mode),
            hint = v_problem;
    elsif ((mapping).mode = 'last') <> ((old).mode = 'last')
        and exists (select from reported r where r.metric = (mapping).metric and r.biller = (mapping).biller) then
        raise exception using errcode = 'UM002', message = 'a metric that has been reported keeps to values or to sums', column = 'mode',
            detail = format('%s was %s, not %s.', quote_literal((metric).key), (old).mode, (mapping).mode),
            hint = 'Report it to a biller of another name.';
    end if;
end
$$;

comment on function _check_mapping(metrics, report_metrics, report_metrics) is
    'Refuses a mapping that is badly given (22004, 22023) or would report wrong totals (UM002), given the one before it.';

create or replace function _check_mappings(metric metrics)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_mapping report_metrics;
begin
    select * into v_mapping from report_metrics r
    where r.metric = (_check_mappings.metric).key and r.event_name is not null
      and _mode_problem((_check_mappings.metric).aggregate, _fine_bucket((_check_mappings.metric).period, (_check_mappings.metric).rollup),
                        r.mode) is not null
    limit 1;
    if v_mapping.metric is not null then
        raise exception using
            errcode = 'UM002', message = 'a metric that is reported keeps what its mode needs', column = 'rollup',
            detail = format('%s is reported to %s as %s.', quote_literal(v_mapping.metric), quote_literal(v_mapping.biller), v_mapping.mode),
            hint = 'Report it in another mode first, or end it: report_metric(metric, null).';
    end if;
end
$$;

comment on function _check_mappings(metrics) is 'Refuses (UM002) a definition that a metric could not be reported by as it is.';

-- Inlined: no SET, nothing outside pg_catalog. The fine bucket is the answer of _fine_bucket().
create or replace function _mode_problem(aggregate text, fine_bucket text, mode text)
returns text
language sql
immutable parallel safe
as $$
    select case
        when mode = 'event' and aggregate not in ('sum', 'count') then
            'Only sums and counts can be reported event by event; a max or unique can be reported as delta, all as last.'
        when mode = 'delta' and aggregate in ('min', 'avg', 'last') then
            'A min, avg or last is not a sum of parts: report it as last.'
        when mode = 'delta' and aggregate in ('sum', 'count') and fine_bucket not in ('minute', 'hour') then
            'Deltas must not straddle an hour: define the metric with rollup hour, or report it as event or last.'
    end
$$;

comment on function _mode_problem(text, text, text) is
    'Why a metric with this aggregate and fine bucket cannot be reported in a mode: what to do about it; null if it can.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _reported_bucket(aggregate text, mode text, period text)
returns text
language sql
immutable parallel safe
as $$
    select case when mode <> 'last' and aggregate in ('sum', 'count') then 'hour' else period end
$$;

comment on function _reported_bucket(text, text, text) is
    'The kind of bucket that a metric is reported by: an hour where parts add up to the whole, else its period.';

-- Inlined: no SET, nothing outside pg_catalog. 255 characters is the limit of report_subject() for a customer.
create or replace function _customer(mapped text, subject text, subject_is_customer boolean)
returns text
language sql
immutable parallel safe
as $$
    select coalesce(mapped, case when subject_is_customer and length(subject) <= 255 then subject end)
$$;

comment on function _customer(text, text, boolean) is
    'The biller''s customer of a subject, given the one it is mapped to; null if it has none. A subject of more than 255 characters is '
    'never its own customer.';
