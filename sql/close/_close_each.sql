-- All at once; and if one of them cannot be closed, one by one. Another session may have closed a period meanwhile.
create or replace function _close_each(due closing[])
returns setof closing
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_due closing;
    v_ids bigint[];
begin
    begin
        v_ids := array(select i from _close_periods(due) i);
        return query
        select s.subject, h.since, h.until, h.statement_id, 'closed', null::text, null::text, _stated_totals(h.statement_id)
        from unnest(v_ids) i (id) join statements h on h.statement_id = i.id join sealed_subjects s on s.subject_id = h.subject_id;
        return;
    exception when others then
        if cardinality(due) = 1 and _closed_until(due[1].subject) > due[1].since then
            v_ids := array[_closed_as(due[1].subject, due[1].since, due[1].until)];
            return query
            select due[1].subject, due[1].since, due[1].until, i.id, 'closed', null::text, null::text, _stated_totals(i.id)
            from unnest(v_ids) i (id)
            where i.id is not null;
            return;
        elsif cardinality(due) = 1 then
            update sealed_subjects s set postponed_at = clock_timestamp() where s.subject = due[1].subject;
            return next (due[1].subject, due[1].since, due[1].until, null, 'postponed', sqlstate, sqlerrm, null)::closing;
            return;
        end if;
    end;
    foreach v_due in array due loop
        return query select * from _close_each(array[v_due]);
    end loop;
end
$$;

comment on function _close_each(closing[]) is 'Closes periods of different subjects; returns what was done with each.';
