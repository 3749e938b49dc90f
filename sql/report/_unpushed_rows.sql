-- A row of the log, the void that takes it back, and the void that takes that one back have one time, and their quantities alternate in sign. What
-- has not been pushed of them adds up to what is missing from what was reported, or is too much: nothing, or the quantity of one of them. A row that
-- was committed after a call has taken others from the queue is on it still, and finds out what is missing then.
create or replace function _unpushed_rows(biller text, series_id integer, subject text, metric text, at timestamptz, event_after bigint)
returns table (event_id bigint, root_id bigint, quantity numeric, missing numeric)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    with voids as materialized (
        select k.event_id, k.corrects
        from event_kinds k
        where k.series_id = _unpushed_rows.series_id and k.at = _unpushed_rows.at and k.kind = 'void'
    ), unpushed as materialized (
        select e.event_id, coalesce(u.corrects, v.corrects, e.event_id) as root_id, e.quantity
        from events e
        left join voids v on v.event_id = e.event_id
        left join voids u on u.event_id = v.corrects
        where e.series_id = _unpushed_rows.series_id and e.at = _unpushed_rows.at and e.event_id > _unpushed_rows.event_after
          and not exists (
              select from pushes p
              where p.subject = _unpushed_rows.subject and p.metric = _unpushed_rows.metric and p.biller = _unpushed_rows.biller
                and p.event_id between e.event_id and e.event_id and p.replaces is null order by p.event_id offset 0)
    )
    select u.event_id, u.root_id, u.quantity, sum(u.quantity) over (partition by u.root_id) from unpushed u;
end
$$;

comment on function _unpushed_rows(text, integer, text, text, timestamptz, bigint) is
    'The rows of the log of one series and time that a biller has no push for, in mode event, without those up to event_after. root_id: the event or '
    'adjustment that a void takes back, directly or by taking back a void; missing: what all of its rows add up to.';

create or replace function _missing_rows(
    biller text, series_id integer, subject text, metric text, at timestamptz, event_after bigint, event_ids bigint[]
)
returns bigint[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return array(
        select max(u.event_id)
        from _unpushed_rows(_missing_rows.biller, _missing_rows.series_id, _missing_rows.subject, _missing_rows.metric, _missing_rows.at,
                            _missing_rows.event_after) u
        where u.event_id = any (event_ids) and u.quantity = u.missing and u.missing <> 0
        group by u.root_id);
end
$$;

comment on function _missing_rows(text, integer, text, text, timestamptz, bigint, bigint[]) is
    'Of rows of the log of one series and time that a queue names, those to push in mode event: neither an event nor its void, if none was pushed.';
