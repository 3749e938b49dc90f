-- Late usage of a line is what the log says now, less what was stated and decided. Whoever asks for one subject has all of its lines computed; of all
-- subjects, only those lines whose period has rows of the log that were recorded after its watermark.
create or replace function _late_lines(ids bigint[], metric text)
returns setof late_line
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_dropped timestamptz[] := array(select _dropped_months());
begin
    return query
    select t.statement_id, w.subject, m.key, t.since, t.until, l.quantity, u.quantity, trim_scale(u.quantity - l.quantity - d.billed - d.waived),
           d.billed, d.waived, m.unit, null::numeric, null::text
    from unnest(ids) i (id)
    join statements t on t.statement_id = i.id
    join sealed_subjects w on w.subject_id = t.subject_id
    cross join metrics m
    cross join lateral (select (_stated_of(t, m.key)).quantity offset 0) l
    cross join lateral (
        select trim_scale(coalesce(sum(d.quantity) filter (where d.decision = 'bill'), 0)) as billed,
               trim_scale(coalesce(sum(d.quantity) filter (where d.decision = 'waive'), 0)) as waived
        from late_decisions d
        where d.statement_id = t.statement_id and d.metric = m.key
        offset 0
    ) d
    cross join lateral (
        select case when _overlaps_months(v_dropped, t.since, t.until) then _known_quantity(m, w.subject, t)
                    else (_stated_usage(m, _statement_scope(t, w.subject), null)).quantity end as quantity
        offset 0
    ) u
    where (_late_lines.metric is null or m.key = _late_lines.metric) and u.quantity is not null
    order by t.statement_id, m.key;
end
$$;

comment on function _late_lines(bigint[], text) is
    'Every line of statements, of one metric or (null) of all, with what the log says now and what has been decided; also of metrics that the '
    'statement does not have; without amounts. Lines that cannot be computed any more, because their period cuts a bucket of a dropped month, are '
    'left out.';

create or replace function _known_quantity(metric metrics, subject text, header statements)
returns numeric
language plpgsql
stable
set search_path from current
as $$
begin
    return (_stated_usage(_known_quantity.metric, _statement_scope(header, _known_quantity.subject), null)).quantity;
exception when sqlstate 'UM006' then
    return null;
end
$$;

comment on function _known_quantity(metrics, text, statements) is 'The quantity of a line now; null if retention has dropped events that it needs.';
