-- What does not count has two rows in the log: the event, and the void that takes it back, at the same time. So a range of the log holds both or
-- neither, and leaving out both changes no sum. A void that was taken back is left out as well, and what it had taken back counts again. Without
-- corrections, the look-up finds nothing.
create or replace function _uncounted_rows(
    series_id integer, since timestamptz, until timestamptz, out left_out bigint[], out uncounted bigint[]
)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    left_out := '{}';
    uncounted := '{}';
    if _uncounted_rows.since < _uncounted_rows.until then
        select coalesce(array_agg(k.event_id) filter (where k.kind = 'void'), '{}')
                   || coalesce(array_agg(k.corrects) filter (where k.kind = 'void' and k.undone_by is null), '{}'),
               coalesce(array_agg(k.event_id) filter (where k.kind = 'adjustment'), '{}')
        into left_out, uncounted
        from event_kinds k
        where k.series_id = _uncounted_rows.series_id and k.at >= _uncounted_rows.since and k.at < _uncounted_rows.until;
    end if;
end
$$;

comment on function _uncounted_rows(integer, timestamptz, timestamptz) is
    'The rows of the log of a series in [since, until) that do not count. left_out: the ids of voids and of what they take back. uncounted: the ids '
    'of adjustments, whose quantity counts, but which are no events. Both are empty for a null or empty range.';

-- The whole log, for those who read all of it: they join by hashing.
create or replace function _left_out_rows()
returns table (event_id bigint)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        select k.event_id from event_kinds k where k.kind = 'void'
        union all
        select k.corrects from event_kinds k where k.kind = 'void' and k.undone_by is null;
end
$$;

comment on function _left_out_rows() is 'The ids of all rows of the log that do not count: voids, and what they take back.';
