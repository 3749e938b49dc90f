create or replace function _push(identifier text)
returns pushes
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_push pushes;
begin
    perform _check_name('identifier', _push.identifier, 100);
    select * into v_push from pushes p where p.identifier = _push.identifier;
    if v_push.push_id is null then
        raise exception using errcode = '22023', message = 'unknown identifier', column = 'identifier',
            detail = format('identifier %s.', quote_literal(_push.identifier)), hint = 'Give one of pushes().';
    end if;
    return v_push;
end
$$;

comment on function _push(text) is 'A push by its identifier. Raises 22004 for null, 22023 if there is none.';
