create or replace function _usage_entries(scenario jsonb, scope invoice_scope)
returns jsonb
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_usage   jsonb := _scenario_array(scenario, '$', 'usage');
    v_entry   jsonb;
    v_path    text;
    v_since   timestamptz;
    v_until   timestamptz;
    v_entries jsonb[] := '{}';
begin
    for v_n in 0 .. jsonb_array_length(v_usage) - 1 loop
        v_entry := v_usage -> v_n;
        v_path := format('$.usage[%s]', v_n);
        perform _check_scenario_fields(v_entry, v_path, '{metric,quantity}', '{event_count,dimensions,item,since,until,aggregate,unit}');
        v_since := coalesce(_scenario_time(v_entry, v_path, 'since'), scope.since);
        v_until := coalesce(_scenario_time(v_entry, v_path, 'until'), scope.until);
        if v_since >= v_until then
            perform _refuse_scenario(v_path || '.until', 'window', v_entry -> 'until');
        elsif v_since < scope.since or v_until > scope.until then
            perform _refuse_scenario(v_path, 'cut');
        end if;
        v_entries := v_entries || jsonb_build_object(
            'n', v_n, 'path', v_path, 'metric', _scenario_text(v_entry, v_path, 'metric'), 'item', _scenario_text(v_entry, v_path, 'item'),
            'quantity', trim_scale(_scenario_signed(v_entry, v_path, 'quantity')), 'event_count', _scenario_integer(v_entry, v_path, 'event_count'),
            'dimensions', _scenario_dimensions(v_entry, v_path), 'since', _utc_text(v_since), 'until', _utc_text(v_until),
            'unit', _scenario_text(v_entry, v_path, 'unit'),
            'aggregate', _scenario_word(v_entry, v_path, 'aggregate', '{count,sum,min,max,avg,last,unique}'));
    end loop;
    return to_jsonb(v_entries);
end
$$;

comment on function _usage_entries(jsonb, invoice_scope) is
    'The usage of a scenario, checked: an array of objects, each with all fields, its position and its path. Raises 22023.';

create or replace function _scenario_dimensions(entry jsonb, path text)
returns jsonb
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_dimensions jsonb := coalesce(nullif(entry -> 'dimensions', 'null'), '{}');
    v_wrong      text;
begin
    if jsonb_typeof(v_dimensions) <> 'object' then
        perform _refuse_scenario(path || '.dimensions', 'object', v_dimensions);
    end if;
    select d.key into v_wrong
    from jsonb_each(v_dimensions) d
    where jsonb_typeof(d.value) not in ('string', 'number', 'boolean')
    order by d.key collate "C"
    limit 1;
    if v_wrong is not null then
        perform _refuse_scenario(_json_path(path || '.dimensions', v_wrong), 'value', v_dimensions -> v_wrong);
    end if;
    return v_dimensions;
end
$$;

comment on function _scenario_dimensions(jsonb, text) is 'The values of metadata of usage; {} without any. Raises 22023.';

create or replace function _scenario_metrics(entries jsonb, lines invoice_segment[], from_catalog boolean)
returns metrics[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_given  record;
    v_metric metrics;
    v_all    metrics[] := '{}';
begin
    for v_given in
        select k.metric, max(e.aggregate) as aggregate, max(e.unit) as unit
        from (select e ->> 'metric' as metric from jsonb_array_elements(entries) e
              union select l.metric from unnest(lines) l where l.metric is not null) k
        left join jsonb_to_recordset(entries) e (metric text, aggregate text, unit text) on e.metric = k.metric
        group by 1
        order by k.metric collate "C"
    loop
        v_metric := null;
        if from_catalog then
            select m.* into v_metric from metrics m where m.key = v_given.metric;
        end if;
        v_metric.key := v_given.metric;
        v_metric.aggregate := coalesce(v_given.aggregate, v_metric.aggregate, 'sum');
        v_metric.unit := coalesce(v_given.unit, v_metric.unit);
        v_all := v_all || v_metric;
    end loop;
    return v_all;
end
$$;

comment on function _scenario_metrics(jsonb, invoice_segment[], boolean) is
    'The metrics of a scenario: as the usage says, else as the catalog does if prices are taken from it; else a sum without a unit.';
