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
    v_biller         billers;
    v_doubtful_until timestamptz := (select j.doubtful_until from report_journals j where j.biller = preview_pushes.biller);
begin
    if _is_open('preview_pushes') then perform _check_caller('preview_pushes'); end if;
    perform _check_name('biller', preview_pushes.biller, 100), _check_time('now', preview_pushes.now, required => true);
    select * into v_biller from billers b where b.biller = preview_pushes.biller;
    if v_biller.sends = 'statements' then
        return query
            select i.subject, i.metric, i.customer, i.event_name, i.value, i.stamped_at, s.state,
                   case when s.state <> i.state then 'restored' else i.reason end, i.bucket_start, i.event_id, i.mode, i.due_at, i.statement_id,
                   i.line, i.description, i.since, i.until
            from _candidate_items(v_biller, array(
                select q.statement_id from unbilled_statements q
                where q.biller = preview_pushes.biller and ((select _all_here()) or exists (
                    select from sealed_subjects w where w.subject_id = q.subject_id and _is_home(w.subject))))) i
            cross join lateral (select _initial_state(i.state, i.mode, i.bucket_start, i.stamped_at, v_doubtful_until) as state) s
            where i.customer is not null
            order by i.statement_id, i.line;
        return;
    end if;
    return query
        select p.subject, p.metric, p.customer, p.event_name, p.value, p.stamped_at, s.state,
               case when s.state <> p.state then 'restored' else p.reason end, p.bucket_start, p.event_id, p.mode, p.due_at,
               p.statement_id, p.line, p.description, p.since, p.until
        from _candidate_pushes(v_biller, array(
            select u
            from unreported u
            join series s on s.series_id = u.series_id and s.stripe = 0
            join _planning_cutoffs(v_biller, coalesce(preview_pushes.open_hours, true), preview_pushes.now) r on r.metric = s.metric
            where u.biller = preview_pushes.biller and u.at < r.until and ((select _all_here()) or _is_home(s.subject))), preview_pushes.now) p
        cross join lateral (select _initial_state(p.state, p.mode, p.bucket_start, p.stamped_at, v_doubtful_until) as state) s
        order by p.subject, p.metric, p.bucket_start, p.event_id;
end
$$;

comment on function preview_pushes(text, boolean, timestamptz) is
    'The pushes that plan_pushes() would plan now, computed by the same query; nothing is written. state is planned, held, left or '
    'uncertain, and reason says why. After adopt_journal(), usage that may have been sent already is uncertain, or held where no total '
    'would show it, with the reason restored. Raises 22004 or 22023 for a bad value. Example: SELECT outcome FROM '
    'meter.record(''acct_2'', ''tokens'', 4, at => ''2026-05-02 08:00+00'');
SELECT customer, event_name, value, state, reason FROM meter.preview_pushes(now => ''2026-06-18 16:30+00'');';
