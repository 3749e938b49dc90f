create or replace function _planned_effects(steps correction_step[])
returns setof correction_effect
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_plan    bucket_plan := _plan_buckets(steps);
    v_effects correction_effect[] := array(
        select f
        from _effects(array(select b from _corrected_buckets(v_plan, array(select c from _member_changes(v_plan) c)) b)) f);
begin
    return query select * from _with_amounts(v_effects, steps);
end
$$;

comment on function _planned_effects(correction_step[]) is 'What preview_correction() returns of what a correction is to write.';

-- Amounts are computed first: pricing takes time, and recorders wait for the buckets that are written after it.
create or replace function _priced_effects(correction_id bigint)
returns setof correction_effect
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_priced text[] := array(
        select p
        from _priced_subjects(array(
            select distinct e.subject from correction_entries e where e.correction_id = _priced_effects.correction_id)) p);
begin
    if v_priced <> '{}' then
        return query
        select f.*
        from _planned_effects(array(
            select s
            from _plan_entries(array(
                select e
                from correction_entries e
                where e.correction_id = _priced_effects.correction_id and e.subject = any (v_priced)
                order by e.ordinal)) s)) f;
    end if;
exception when serialization_failure then  -- partitions are being dropped
    return;
end
$$;

comment on function _priced_effects(bigint) is
    'The rows that preview_correction() returns of subjects that have had a plan with prices; none if events are being dropped.';
