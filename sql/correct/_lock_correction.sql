create or replace function _lock_correction(id bigint, states text[])
returns corrections
language plpgsql
volatile
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
declare
    v_correction corrections;
begin
    perform _get_correction(id);
    select * into v_correction from corrections c where c.correction_id = id for update;
    if v_correction.state <> all (states) then
        raise exception using errcode = '22023', message = 'the correction is in another state', column = 'id',
            detail = format('Correction %s is %s.', id, v_correction.state),
            hint = format('This is possible while it is: %s. Open a new one to change more.', array_to_string(states, ', '));
    end if;
    return v_correction;
exception when lock_not_available then
    perform _raise_busy(format('correction %s', id));
end
$$;

comment on function _lock_correction(bigint, text[]) is
    'Locks a correction until the transaction ends, and returns it. Raises 22004 for a null, UM007 for an unknown one, 22023 if it is in none of the '
    'given states, 55P03 if it is locked for 5 seconds.';

create or replace function _get_correction(id bigint)
returns corrections
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_correction corrections;
begin
    if id is null then
        raise exception using errcode = '22004', message = 'id is null', column = 'id', hint = 'Give the id that open_correction() returned.';
    end if;
    select * into v_correction from corrections c where c.correction_id = id;
    if not found then
        raise exception using errcode = 'UM007', message = 'no such correction', column = 'id', detail = format('id %s.', id),
            hint = 'corrections() lists them.';
    end if;
    return v_correction;
end
$$;

comment on function _get_correction(bigint) is 'A correction. Raises 22004 for a null, UM007 for an unknown one.';
