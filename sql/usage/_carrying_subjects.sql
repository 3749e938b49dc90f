create or replace function _carrying_subjects(metric metrics, since timestamptz, after_subject text)
returns setof text
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_key   text := (_carrying_subjects.metric).key;
    v_fine  text := (_carrying_subjects.metric).fine_bucket;
    v_after text := coalesce(_carrying_subjects.after_subject, '');
begin
    if not (_carrying_subjects.metric).carry or (_carrying_subjects.metric).retired_at <= _carrying_subjects.since then
        return;
    end if;
    return query
    select s.subject
    from _each_subject() s (subject)
    where s.subject > v_after collate "C" and exists (
        select from rollups r
        where r.subject = s.subject and r.metric = v_key and r.bucket = v_fine and r.bucket_start < _carrying_subjects.since);
end
$$;

comment on function _carrying_subjects(metrics, timestamptz, text) is
    'The subjects after a given one (null: all) that may carry a value of a metric into a window that begins at an instant: those with a '
    'rollup that starts before it. None if the metric does not carry values over, or was retired by then.';
