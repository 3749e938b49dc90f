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
