-- What does not count has two rows in the log: the event, and the void that takes it back. Leaving out both changes no sum.
create or replace function _left_out(series_id integer, since timestamptz, until timestamptz)
returns setof bigint
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select u.event_id
    from event_kinds k
    cross join lateral (values (k.event_id), (case when k.undone_by is null then k.corrects end)) u (event_id)
    where k.series_id = _left_out.series_id and k.at >= since and k.at < until and k.kind = 'void' and u.event_id is not null;
end
$$;

comment on function _left_out(integer, timestamptz, timestamptz) is
    'The ids of the rows of the log of a series in [since, until) that do not count: voids, and what they take back.';
