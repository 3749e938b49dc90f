create or replace function _notify_late_usage(most integer)
returns setof maintenance_action
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_line  late_line;
    v_count bigint := 0;
begin
    if not exists (select from statements) then
        return;
    end if;
    for v_line in
        select l.*
        from _late_lines(_touched_statements(null, null), null) l
        left join late_notices n on n.statement_id = l.statement_id and n.metric = l.metric
        where l.current - l.stated <> coalesce(n.quantity, 0) and ((select _all_here()) or _is_home(l.subject))
        order by l.statement_id, l.metric
        limit most
    loop
        insert into late_notices (statement_id, metric, quantity) values (v_line.statement_id, v_line.metric, v_line.current - v_line.stated)
        on conflict (statement_id, metric) do update set quantity = excluded.quantity;
        continue when v_line.delta = 0;
        perform _notify('usage.late', v_line.subject, v_line.metric, to_jsonb(_with_amount(v_line)) - '{subject,metric}'::text[]);
        v_count := v_count + 1;
    end loop;
    if v_count > 0 then
        return next ('notified of late usage', v_count)::maintenance_action;
    end if;
end
$$;

comment on function _notify_late_usage(integer) is
    'Writes usage.late for lines of statements whose late usage has changed since it was told last, and is not decided; at most so many.';
