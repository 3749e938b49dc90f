-- Names are copied by many functions, each under some lock. Erasing takes these before it reads: reporting (billers, lanes), maintain(), who judges
-- projections, who writes and claims deliveries (endpoints), who decides on corrections; and then, giving up soon, what recording, limits and
-- watermarks take.
create or replace function _lock_for_erasing(subject text)
returns void
language plpgsql
volatile
set search_path from current
set lock_timeout to '5s'
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    perform from billers b order by b.biller for no key update;
    perform _require_durable_commit();
    perform from (
        select distinct p.biller, p.customer, p.event_name from pushes p where p.subject = _lock_for_erasing.subject order by 1, 2, 3
    ) u
    cross join lateral (
        select from report_lanes l where l.biller = u.biller and l.customer = u.customer and l.event_name = u.event_name offset 0 for update
    ) l;
    perform _lock('maintain'), _lock('projections');
    lock table only events in access share mode;
    perform _lock_endpoints(null);
    perform from (select i from unnest(_corrections_of(_lock_for_erasing.subject)) i order by 1) i
    cross join lateral (select from corrections c where c.correction_id = i.i offset 0 for update) c;
exception when lock_not_available then
    perform _raise_busy(format('subject %s', quote_literal(left(_lock_for_erasing.subject, 80))));
end
$$;

comment on function _lock_for_erasing(text) is
    'Locks what reports, maintains, judges, delivers and corrects usage of a subject, until the transaction ends. Raises 55P03 after 5 seconds.';

create or replace function _erase(subject text, pseudonym text, keys uuid[])
returns bigint
language plpgsql
volatile
set search_path from current
set lock_timeout to '300ms'
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_series integer[];
    v_rows   bigint;
begin
    perform from sealed_subjects s where s.subject = _erase.subject for update;
    perform from reservations r where r.subject = _erase.subject order by r.reservation_id for update;
    perform _enter_limited_subjects(array[_erase.subject]);
    lock table unique_members in row exclusive mode;  -- before rows of series, because rebuild() has this order
    v_series := case when _is_sealed_copy(_erase.subject) then _lock_sealed_copy(_erase.subject) else _lock_subjects(array[_erase.subject]) end;
    perform _check_nothing_open(_erase.subject, v_series);
    insert into erasures (series_id, transaction) select i, pg_current_xact_id() from unnest(v_series) i;
    perform _erase_keys(v_series, _erase.keys);
    v_rows := _erase_events(v_series);
    perform _rename_series(v_series, _erase.subject, _erase.pseudonym), _rename_reported(_erase.subject, _erase.pseudonym),
        _erase_corrections(_erase.subject, _erase.pseudonym), _erase_limits(_erase.subject, _erase.pseudonym),
        _erase_admin_log(_erase.subject, _erase.pseudonym);
    update moves m set subject = _erase.pseudonym where m.subject = _erase.subject and m.state = 'moved';
    delete from erasures e where e.series_id = any (v_series);
    perform _log_change('erase_subject', _erase.pseudonym, null, jsonb_build_object('rows', v_rows));
    return v_rows;
end
$$;

comment on function _erase(text, text, uuid[]) is
    'What erase_subject() does once it has the locks of _lock_for_erasing(). keys: from _dropped_keys(). Raises 55000 as erase_subject() does, 55P03 '
    'if a lock is not had within 300 milliseconds, 23505 if the pseudonym has become a subject.';

-- A role that is bound to the subject would learn its pseudonym, or the pseudonym whose role it is.
create or replace function _unbind_subject(subject text)
returns void
language plpgsql
volatile
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
begin
    perform revoke_access(r.rolname, 'read', _unbind_subject.subject)
    from (select distinct g.role from access_grants g where g.subject = _unbind_subject.subject and g.cluster = _cluster() order by 1) g
    join pg_roles r on r.oid = g.role;
    delete from access_grants g where g.subject = _unbind_subject.subject;
end
$$;

comment on function _unbind_subject(text) is 'Revokes the access of roles that are bound to a subject to it. Raises 55P03 after 5 seconds.';
