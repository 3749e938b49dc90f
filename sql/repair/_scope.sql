-- is_written: the series are corrected, which is not done while a subject is being moved.
create or replace function _series_in_scope(subject text, metric text, is_written boolean)
returns integer[]
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
begin
    perform _check_scope(_series_in_scope.subject, _series_in_scope.metric);
    if _series_in_scope.subject is null and _series_in_scope.metric is null and _all_here() then
        return null;
    end if;
    return array(
        select s.series_id
        from metrics m
        join series s on s.metric = m.key and s.stripe = 0
        where (_series_in_scope.metric is null or m.key = _series_in_scope.metric)
          and (_series_in_scope.subject is null or s.subject = _series_in_scope.subject)
          and ((select _all_here()) or case when is_written then _is_home(s.subject) else _is_here(s.subject) end));
end
$$;

comment on function _series_in_scope(text, text, boolean) is
    'The series of one subject, one metric, or both; null stands for all. Raises as _check_scope() does.';
