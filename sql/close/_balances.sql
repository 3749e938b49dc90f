-- current comes from the buckets, open from the log, stated and the decisions from their tables: so the sum proves something. Where retention has
-- dropped what is needed of the log, open is what the buckets say, and it does not.
create or replace function _balances()
returns setof statement_balance
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select l.statement_id, l.subject, l.metric, l.since, l.until, l.stated, l.billed, l.waived,
           coalesce(trim_scale(n.quantity - w.quantity - l.billed - l.waived), l.delta), l.current
    from _late_lines(array(select t.statement_id from statements t order by 1), null) l
    join statements t on t.statement_id = l.statement_id
    join metrics m on m.key = l.metric
    cross join lateral (select * from _known_statement(m, l.subject, t, 'infinity') offset 0) n
    cross join lateral (select * from _known_statement(m, l.subject, t, t.watermark) offset 0) w;
end
$$;

comment on function _balances() is 'The rows of the view statement_balances.';
