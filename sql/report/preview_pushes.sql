create or replace function preview_pushes(
    biller text default 'stripe', open_hours boolean default true, now timestamptz default now()
)
returns setof planned_push
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_biller billers;
begin
    if _is_open('preview_pushes') then perform _check_caller('preview_pushes'); end if;
    perform _check_name('biller', preview_pushes.biller, 100), _check_time('now', preview_pushes.now, required => true);
    select * into v_biller from billers b where b.biller = preview_pushes.biller;
    return query
        select p.*
        from _candidate_pushes(v_biller, array(
            select u
            from unreported u
            join series s on s.series_id = u.series_id and s.stripe = 0
            join _planning_cutoffs(v_biller, coalesce(preview_pushes.open_hours, true), preview_pushes.now) r on r.metric = s.metric
            where u.biller = preview_pushes.biller and u.at < r.until), preview_pushes.now) p;
end
$$;

comment on function preview_pushes(text, boolean, timestamptz) is
    'The pushes that plan_pushes() would plan now, computed by the same query; nothing is written. state is planned, held or left, and '
    'reason says why. Raises 22004 or 22023 for a bad value. Example: SELECT outcome FROM meter.record(''acct_2'', ''tokens'', 4, at => '
    '''2026-05-02 08:00+00'');
SELECT customer, event_name, value, state, reason FROM meter.preview_pushes(now => ''2026-06-18 16:30+00'');';
