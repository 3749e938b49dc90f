-- Its subjects may be on different shards by now, and half of a correction is none.
create or replace function _check_whole(correction_id bigint)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_count bigint;
    v_whole bigint;
begin
    select s.entry_count into v_whole from shared_corrections s where s.correction_id = _check_whole.correction_id;
    if not found then
        return;
    end if;
    select count(*) into v_count from correction_entries e where e.correction_id = _check_whole.correction_id;
    if v_count < v_whole then
        raise exception using
            errcode = '55000', message = 'a part of the correction is on another shard', column = 'id',
            detail = format('correction %s: %s of %s entries are here.', _check_whole.correction_id, v_count, v_whole),
            hint = 'Move its subjects to one shard, or take back what each shard has with void_event() and adjust().';
    end if;
end
$$;

comment on function _check_whole(bigint) is 'Raises 55000 if a correction has entries of subjects that are on another shard.';
