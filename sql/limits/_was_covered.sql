create or replace function _was_covered(metric metrics, series series, checks limit_check[], limit_id bigint, at timestamptz)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if not exists (
        select from top_ups t
        where t.metric = (_was_covered.metric).key and t.subject = (_was_covered.series).subject and t.voided_at is not null) then
        return false;
    end if;
    return exists (
        select
        from unnest(checks) c
        join unnest(_raise_limits(_was_covered.metric, _was_covered.series, checks, _was_covered.at, clock_timestamp(), with_voided => true)) v
            on v.limit_id = c.limit_id
        where c.limit_id = _was_covered.limit_id and v.overrun < c.overrun);
end
$$;

comment on function _was_covered(metrics, series, limit_check[], bigint, timestamptz) is
    'Whether less of a limit would be uncovered in its period if no top-up had been voided.';
