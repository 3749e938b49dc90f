-- The caller has locked the log, so what it takes is bounded: 24 partitions. Those that are kept cost nothing.
create or replace function _let_months_go(verdicts month_verdict[], detach boolean)
returns setof maintenance_action
language plpgsql
volatile
set search_path from current
as $$
declare
    v_verdict month_verdict;
    v_action  maintenance_action;
    v_gone    int := 0;
    v_left    int := cardinality(verdicts);
begin
    foreach v_verdict in array verdicts loop
        if v_gone = 24 then
            perform _discard_totals(v.month) from unnest(verdicts[cardinality(verdicts) - v_left + 1:]) v;
            return next ('again', format('%s months are left to drop: run maintain() again', v_left))::maintenance_action;
            return;
        end if;
        v_action := _expire_month(v_verdict, _let_months_go.detach);
        return next v_action;
        v_left := v_left - 1;
        v_gone := v_gone + (v_action.action in ('dropped partition', 'detached partition'))::int;
    end loop;
end
$$;

comment on function _let_months_go(month_verdict[], boolean) is
    'Drops or detaches the partitions of verified months, at most 24 of them; returns what it did, and whether there are more.';
