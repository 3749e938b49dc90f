create or replace function _revert_steps(id bigint)
returns correction_step[]
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_later record;
    v_steps correction_step[];
    v_archive archives;
begin
    select l.correction_id, l.corrects into v_later
    from event_kinds k
    cross join lateral (
        select v.correction_id, v.corrects from event_kinds v
        where v.corrects = k.event_id and v.kind = 'void' and v.undone_by is null and v.correction_id <> id
        offset 0
    ) l
    where k.correction_id = id
    order by l.correction_id desc limit 1;
    if found then
        raise exception using errcode = '22023', message = 'a later correction has changed events of the correction', column = 'id',
            detail = format('Correction %s changed event %s.', v_later.correction_id, v_later.corrects),
            hint = format('Revert correction %s first.', v_later.correction_id);
    end if;
    v_steps := array(
        select (row_number() over (order by k.event_id), 'applied', 'void', s.metric, s.subject, k.series_id, nextval('event_ids'), k.at,
                - l.quantity, l.member, null, l.metadata, k.event_id, - k.counts, null)::correction_step
        from event_kinds k
        cross join lateral (select s.metric, s.subject from series s where s.series_id = k.series_id and s.stripe = 0 offset 0) s
        cross join lateral (
            select l.quantity, l.member, l.metadata from events l
            where l.series_id = k.series_id and l.at = k.at and l.event_id = k.event_id offset 0
        ) l
        where k.correction_id = id and not (k.kind = 'void' and k.undone_by is not null));
    -- With a month, its rows of event_kinds go; others of the same correction may stay.
    if cardinality(v_steps) < (
        select sum(case e.entry when 'amend' then 2 else 1 end) from correction_entries e
        where e.correction_id = id and e.outcome = 'applied')
    then
        select a.* into v_archive from archives a
        where a.restored_at is null and exists (
            select from correction_entries e
            where e.correction_id = id and a.month in (_bucket_start('month', e.corrects_at), _bucket_start('month', e.at)))
        order by a.month desc limit 1;
        raise exception using errcode = 'UM006', message = 'a month of its events was dropped', column = 'id',
            detail = format('Correction %s%s.', id, ', file ' || v_archive.file_name),
            hint = _restore_hint(v_archive, 'Correct the total with adjust().');
    end if;
    return v_steps;
end
$$;

comment on function _revert_steps(bigint) is
    'The voids that take back every row that a correction wrote. Raises 22023 while a later correction has changed one of them, UM006 if one was '
    'dropped.';
