-- Who never had a plan with a price gets a statement of quantities (format 1), all of them in one statement; the others are computed one by one.
create or replace function _new_statements(closings closing[], sealed sealed_subjects[])
returns setof new_statement
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_priced  text[] := array(select p from _priced_subjects(array(select w.subject from unnest(sealed) w)) p);
    v_headers statements[] := array(
        select (nextval('statement_ids'), c.since, c.until, clock_timestamp(), w.watermark, w.subject_id,
                case when c.subject = any (v_priced) then 2 else 1 end, _session_role(), p.part_starts, p.part_weights, p.cycle_weight, w.last_hash,
                '', null, null)::statements
        from unnest(closings) c
        join unnest(sealed) w on w.subject = c.subject
        cross join lateral _cycle_parts(c.subject, c.since, c.until, 'infinity') p);
    v_usage   metric_usage[] := array(select u from _closing_metrics(v_headers, sealed) u);
    v_lines   statement_lines[] := array(
        select l from _quantity_lines(array(select h from unnest(v_headers) h where h.format = 1), v_usage) l);
    v_one     record;
    v_new     new_statement;
begin
    for v_one in
        select h as header, w.subject, w.digest, u.usage, l.lines
        from unnest(v_headers) h
        join unnest(sealed) w on w.subject_id = h.subject_id
        left join (select u.statement_id, array_agg(u) as usage from unnest(v_usage) u group by 1) u on u.statement_id = h.statement_id
        left join (select l.statement_id, array_agg(l order by l.line) as lines from unnest(v_lines) l group by 1) l
            on l.statement_id = h.statement_id
    loop
        v_new := (v_one.header, coalesce(v_one.lines, '{}'));
        if (v_one.header).format = 2 then
            v_new := _priced_statement(v_one.header, v_one.subject, coalesce(v_one.usage, '{}'));
        end if;
        v_new.header.hash := sha256(convert_to(_statement_text(v_new.header, v_one.digest, v_new.lines), 'UTF8'));
        return next v_new;
    end loop;
end
$$;

comment on function _new_statements(closing[], sealed_subjects[]) is
    'The statements of periods, with their lines and hashes: what the buckets hold, under the locks of the subjects.';

create or replace function _priced_subjects(subjects text[])
returns setof text
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_plans text[] := array(select p.plan from plans p where p.currency is not null);
begin
    if v_plans <> '{}' then
        return query
        select u.subject
        from unnest(subjects) u (subject)
        cross join lateral (
            select from subscription_history h where h.subject = u.subject and h.plans && v_plans limit 1
        ) h;
    end if;
end
$$;

comment on function _priced_subjects(text[]) is 'Those of the subjects that have ever had a plan with prices.';

create or replace function _quantity_lines(headers statements[], usage metric_usage[])
returns setof statement_lines
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select n.statement_id, n.late_of, n.event_count, n.since, n.until,
           (row_number() over (partition by n.statement_id order by n.kind desc, n.since, n.metric))::integer, n.kind, n.metric, n.aggregate,
           n.unit, n.quantity, null::bigint, null::integer, null::text, null::text, null::text, null::text, null::numeric, null::numeric,
           null::numeric, null::numeric, null::text
    from (
        select h.statement_id, null::bigint as late_of, u.event_count, h.since, h.until, 'usage' collate "C" as kind, u.metric, u.aggregate, u.unit,
               u.quantity
        from unnest(usage) u
        join unnest(headers) h on h.statement_id = u.statement_id
        union all
        select h.statement_id, l.late_of, 0, l.since, l.until, 'late', l.metric, m.aggregate, m.unit, l.quantity
        from unnest(headers) h
        join statements t on t.subject_id = h.subject_id
            and exists (select from late_decisions d where d.statement_id = t.statement_id and d.decision = 'bill' and d.billed_on is null)
        cross join lateral _late_quantities(t, 'infinity') l
        join metrics m on m.key = l.metric
    ) n;
end
$$;

comment on function _quantity_lines(statements[], metric_usage[]) is
    'The lines of statements without prices: a usage line for each metric that is in use or was used, by the metrics'' keys, then late lines.';
