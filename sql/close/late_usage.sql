create or replace function late_usage(
    subject text default null, metric text default null, statement_id bigint default null, since timestamptz default null,
    until timestamptz default null, max_rows integer default 1000, after_id bigint default null, decided boolean default false
)
returns setof late_line
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_ids bigint[];
begin
    if _is_open('late_usage') then perform _check_caller('late_usage'); end if;
    perform _check_scope(late_usage.subject, late_usage.metric), _check_max_rows(late_usage.max_rows);
    if late_usage.since is not null or late_usage.until is not null then
        perform resolve_window(since => late_usage.since, until => late_usage.until);
    end if;
    if late_usage.statement_id is not null then
        perform _get_statement(late_usage.statement_id);
        v_ids := array[late_usage.statement_id];
    elsif late_usage.subject is null then
        v_ids := _touched_statements(late_usage.since, late_usage.until);
    else
        v_ids := array(
            select t.statement_id
            from sealed_subjects w
            join statements t on t.subject_id = w.subject_id
            where w.subject = late_usage.subject and (late_usage.since is null or t.until > late_usage.since)
              and (late_usage.until is null or t.since < late_usage.until)
            order by 1);
    end if;
    return query
    select a.*
    from (
        select l.*
        from _late_lines(array(
            select i from unnest(v_ids) i where late_usage.after_id is null or i > late_usage.after_id order by 1), late_usage.metric) l
        where (late_usage.subject is null or l.subject = late_usage.subject) and (
            l.delta <> 0 or late_usage.decided and (l.billed <> 0 or l.waived <> 0) or _has_moved(l))
        order by l.statement_id, l.metric
        limit late_usage.max_rows
    ) l
    cross join lateral _with_amount(l) a
    order by a.statement_id, a.metric;
    perform _check_snapshot();
end
$$;

comment on function late_usage(text, text, bigint, timestamptz, timestamptz, integer, bigint, boolean) is
    'Returns the lines of statements whose usage has changed since, and of which something is not decided yet (delta): usage that came late, or '
    'was corrected; amount: what that costs at the prices of the statement. delta is 0 where only the amount is another one: usage has moved '
    'between times or values of metadata with different prices. Nulls mean all; since and until: only periods that have a part in that '
    'window. Of all subjects, it looks through the log for what was recorded after the periods were closed. Ordered by statement and metric, at '
    'most max_rows (1 to 10,000); the next page: the last statement that is complete as after_id. decided: also lines of which something was billed '
    'or waived and nothing is open. Raises UM001 for an unknown metric, UM007 for an '
    'unknown statement, 22004 or 22023 for a bad value, 40001 as usage() does, UM008 for a subject that is on another shard or being moved. '
    'Example: SELECT metric, stated, current, delta FROM '
    'meter.late_usage(''acct_1'');';
