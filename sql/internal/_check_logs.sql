-- Of many windows hardly one touches a month that was dropped, so that is looked at once for all.
create or replace function _check_logs(metric metrics, subject text, cuts window_cut[])
returns void
language plpgsql
stable
set search_path from current
as $$
declare
    v_cut   window_cut;
    v_edges window_cut[] := array(select c from unnest(cuts) c where c.since < c.fine_since or c.fine_until < c.until);
begin
    if cardinality(v_edges) > 1 then
        perform _check_snapshot();
        if not exists (
            select from _dropped_months() m (month)
            where m.month < v_edges[cardinality(v_edges)].until and _bucket_end('month', m.month) > v_edges[1].since
        ) then
            return;
        end if;
    end if;
    foreach v_cut in array v_edges loop
        perform _check_log(_check_logs.metric, _check_logs.subject, v_cut);
    end loop;
end
$$;

comment on function _check_logs(metrics, text, window_cut[]) is
    '_check_log() for each of many windows, in the order of time, that has an edge in the log.';
