create or replace function correction_entries(id bigint, max_rows integer default null, after_ordinal integer default 0)
returns setof correction_entry
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('correction_entries') then perform _check_caller('correction_entries'); end if;
    perform _get_correction(id);
    if correction_entries.max_rows is not null then
        perform _check_max_rows(correction_entries.max_rows);
    end if;
    return query
        select e.ordinal, e.entry, e.subject, e.metric, e.corrects, e.quantity, e.member, e.idempotency_key, e.at, e.metadata, e.reason, e.outcome,
               e.event_id
        from correction_entries e
        where e.correction_id = id and e.ordinal > coalesce(correction_entries.after_ordinal, 0)
        order by e.ordinal
        limit correction_entries.max_rows;
end
$$;

comment on function correction_entries(bigint, integer, integer) is
    'Returns the entries of a correction in their order, and what approving did to each: all, or at most max_rows; the next page: '
    'the last ordinal as after_ordinal. Raises '
    'UM007 for an unknown correction, 22004 or 22023 for a bad value. '
    'Example: BEGIN; SELECT meter.stage_correction(meter.open_correction(''goodwill''), ''[{"entry": "adjust", "subject": "acct_9", "metric": '
    '"tokens", "quantity": -5}]'') AS entries; SELECT ordinal, entry, subject, quantity, outcome FROM meter.correction_entries((SELECT '
    'max(correction_id) FROM meter.corrections())); ROLLBACK;';
