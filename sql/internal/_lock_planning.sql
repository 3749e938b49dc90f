create or replace function _lock_planning(biller text)
returns billers
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_biller billers;
begin
    perform _check_name('biller', _lock_planning.biller, 100), _check_read_committed();
    -- An index row holds the names of a subject, a metric and a biller, and is at most 2,704 bytes long.
    if octet_length(_lock_planning.biller) > 64
        and not exists (select from billers b where b.biller = _lock_planning.biller) then
        raise exception using errcode = '22023', message = 'a name is blank or too long', column = 'biller',
            detail = format('biller %s.', quote_literal(left(_lock_planning.biller, 80))), hint = 'Give at most 64 bytes.';
    end if;
    -- The biller's own row, which no other role can lock. Its key does not change, so references to it are not kept waiting.
    begin
        insert into billers (biller) values (_lock_planning.biller) on conflict (biller) do nothing;
        select * into strict v_biller from billers where biller = _lock_planning.biller for no key update;
    exception when lock_not_available then
        perform _raise_busy(format('biller %s', quote_literal(_lock_planning.biller)));
    end;
    return v_biller;
end
$$;

comment on function _lock_planning(text) is
    'Waits until nobody else plans for this biller or changes how it is reported to, and keeps others from it until the transaction '
    'ends; returns its rules, those by default if it is new. Raises 22004 or 22023 for a bad name, 25001 as _check_read_committed().';
