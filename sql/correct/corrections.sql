create or replace function corrections(
    state text default null, subject text default null, max_rows integer default 100, after_id bigint default null
)
returns setof correction
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('corrections') then perform _check_caller('corrections'); end if;
    perform _check_max_rows(corrections.max_rows);
    if corrections.state is not null then
        perform _check_word('state', corrections.state, '{open,approved,rejected,reverted}');
    end if;
    if corrections.subject is not null then
        perform _check_name('subject', corrections.subject), _check_here(corrections.subject);
    end if;
    return query
        select c.correction_id, c.state, c.reason, (select count(*) from correction_entries e where e.correction_id = c.correction_id),
               c.opened_by, c.opened_at, c.decided_by, c.decided_at, c.decision, c.reverts,
               (select r.correction_id from corrections r where r.reverts = c.correction_id)
        from corrections c
        where (corrections.state is null or c.state = corrections.state)
          and (corrections.subject is null or exists (
              select from correction_entries e where e.subject = corrections.subject and e.correction_id = c.correction_id))
          -- What is about subjects that have all moved, is where they are.
          and ((select _all_here())
               or not exists (select from correction_entries e where e.correction_id in (c.correction_id, c.reverts))
               or exists (
                   select from correction_entries e where e.correction_id in (c.correction_id, c.reverts) and _is_here(e.subject)))
          and (corrections.after_id is null or c.correction_id < corrections.after_id)
        order by c.correction_id desc
        limit corrections.max_rows;
end
$$;

comment on function corrections(text, text, integer, bigint) is
    'Returns corrections, the latest first: who opened, approved or rejected them, when and why. state: open, approved, rejected or reverted; null: '
    'all. subject: those with an entry for this subject. The next page: the last correction_id as after_id. Raises 22004 or 22023 for a bad '
    'value, UM008 for a subject that is on another shard or being moved. '
    'Example: BEGIN; SELECT meter.open_correction(''backfill of June'') > 0 AS opened; SELECT state, reason, entries FROM '
    'meter.corrections(''open''); ROLLBACK;';
