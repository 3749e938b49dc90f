-- What a period costs can change while its quantity does not: usage moves between the segments of a price that changed, or between the combinations
-- of a matrix, or an event costs something by itself. The log of the period is asked for it only if rows came after the statement.
create or replace function _has_moved(line late_line)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_header statements := (select t from statements t where t.statement_id = line.statement_id);
    v_logged segment_usage[];
    v_before segment_usage[];
    v_sums   record;
begin
    if v_header.basis is null or not _is_finer(v_header.basis, line.metric) or not _is_logged_after(line, v_header.watermark) then
        return false;
    end if;
    v_logged := _logged_segments(v_header, line.subject, line.metric);
    v_before := _decided_segments(v_header, line.metric, (
        select d.logged
        from late_decisions d
        where d.statement_id = line.statement_id and d.metric = line.metric
        order by d.decision_id desc
        limit 1));
    if v_logged is null or to_jsonb(v_logged) = to_jsonb(v_before) then
        return false;
    end if;
    select s.* into v_sums from _open_amount(line, null) s;
    return v_sums.currencies > 0 and (v_sums.amount <> 0 or not v_sums.is_known);
end
$$;

comment on function _has_moved(late_line) is
    'Whether a line whose quantity is decided has usage that costs something else by now than was stated and decided.';

create or replace function _is_finer(basis jsonb, metric text)
returns boolean
language sql
immutable parallel safe
set search_path from current
as $$
    select count(*) > 1 or coalesce(bool_or(s.segment -> 'price' ->> 'model' in ('matrix', 'percentage')), false)
    from jsonb_array_elements(basis -> 'segments') s (segment)
    where s.segment ->> 'metric' = _is_finer.metric
$$;

comment on function _is_finer(jsonb, text) is
    'Whether the amount of a metric on a statement, given by its basis, depends on more than the metric''s quantity.';

create or replace function _is_logged_after(line late_line, watermark timestamptz)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return exists (
        select
        from metrics m
        join series s on s.metric = m.key and s.subject = line.subject and s.stripe = 0
        join events e on e.series_id = s.series_id and e.at < line.until and (m.carry or e.at >= line.since)
        where m.key = line.metric and e.recorded_at > _is_logged_after.watermark);
end
$$;

comment on function _is_logged_after(late_line, timestamptz) is
    'Whether the log has a row of a line that was recorded after a time.';
