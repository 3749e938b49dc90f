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
    -- An index row holds the names of a subject, a metric and a biller, and has at most 2,704 bytes.
    if octet_length(_lock_planning.biller) > 64
        and not exists (select from billers b where b.biller = _lock_planning.biller) then
        raise exception using errcode = '22023', message = 'a name is blank or too long', column = 'biller',
            detail = format('biller %s.', quote_literal(left(_lock_planning.biller, 80))), hint = 'Use at most 64 bytes.';
    end if;
    -- The lock is the biller's row, because other roles cannot lock it. NO KEY UPDATE lets foreign keys refer to it meanwhile.
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
    'Locks a biller for planning and for changes of its mappings until the transaction ends, and returns its policy. A new biller is '
    'created with the defaults. Raises 22004 or 22023 for a bad name, 25001 as _check_read_committed() does, 55P03 if the lock is not '
    'granted in time.';

-- Lock order of reporting: the planning lock, then lanes by primary key, then pushes. A push is changed only with its lane locked.
create or replace function _lock_lanes(lanes report_lanes[])
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    perform _require_durable_commit();
    insert into report_lanes (biller, customer, event_name)
    select biller, customer, event_name from unnest(lanes) group by 1, 2, 3 order by 1, 2, 3
    on conflict (biller, customer, event_name) do nothing;
    -- One by one in this order. A join might be planned from the lanes, and there may be many.
    perform from (select distinct u.biller, u.customer, u.event_name from unnest(lanes) u order by 1, 2, 3) u
    cross join lateral (
        select from report_lanes l where l.biller = u.biller and l.customer = u.customer and l.event_name = u.event_name for update
    ) l;
end
$$;

comment on function _lock_lanes(report_lanes[]) is
    'Locks lanes in the order of their primary key and creates missing ones. The transaction''s commit is made durable.';

-- The WAL is flushed in order, so a durable claim makes everything that was committed before it durable too.
create or replace function _require_durable_commit()
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    if current_setting('synchronous_commit') in ('off', 'local') then
        perform set_config('synchronous_commit', 'on', true);
    end if;
end
$$;

comment on function _require_durable_commit() is
    'Makes this transaction''s commit wait for the disk, and for synchronous standbys, whatever the role''s or database''s '
    'synchronous_commit is.';
