-- Only called after a decision, so what is beyond the quota then was counted in spite of it, unless it was before the version of the limit.
create or replace function _note_overflow(series series, checks limit_check[], kind text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    if exists (select from unnest(checks) c where c.action = 'block' and c.overrun > 0) then
        insert into fired_marks (limit_id, subject, period_start, kind, mark)
        select c.limit_id, (_note_overflow.series).subject, _marks_since(c), _note_overflow.kind, 0
        from unnest(checks) c
        where c.action = 'block' and c.overrun > 0
        on conflict do nothing;
    end if;
end
$$;

comment on function _note_overflow(series, limit_check[], text) is
    'Notes for overruns() that an event was counted in spite of a limit that blocks. checks: with the event in what is used; kind: overflow, '
    'settle for a settlement of more than was held, or correction.';
