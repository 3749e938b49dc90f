create or replace function _unbilled_totals(biller billers)
returns setof push_status
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select case when i.customer is null then 'unmapped' else 'unplanned' end as state,
           case when i.customer is null then count(distinct i.subject) else count(*) end, sum(i.value::numeric), min(i.stamped_at), i.metric
    from _candidate_items(_unbilled_totals.biller, array(
        select q.statement_id from unbilled_statements q
        where q.biller = (_unbilled_totals.biller).biller and ((select _all_here()) or exists (
            select from sealed_subjects w where w.subject_id = q.subject_id and _is_here(w.subject))))) i
    group by i.customer is null, i.metric;
end
$$;

comment on function _unbilled_totals(billers) is
    'Of each currency, what the lines of queued statements add up to, for report_status(): unplanned, and unmapped as subjects.';
