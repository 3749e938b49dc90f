-- Assigns one level to every public function. own replaces read for a role that is bound to subjects; a role that was granted it by name is bound by
-- the credential of the request. owner is for the owner only, otherwise roles could escalate.
create or replace function _level_functions()
returns table (level text, function text)
language sql
immutable parallel safe
as $$
    select l.level, f.function
    from (values
        ('read', array['catalog', 'usage', 'summary', 'series', 'usage_by', 'check_quota', 'totals', 'subjects', 'events', 'resolve_window',
                       'health', 'settings', 'billing_cycle', 'plans', 'subscriptions', 'limits', 'effective_limits', 'overruns', 'notifications',
                       'reservations', 'top_ups', 'balance', 'endpoints', 'deliveries', 'spike_alerts', 'corrections', 'correction_entries',
                       'preview_correction', 'statements', 'statement', 'statement_document', 'late_usage', 'what_changed', 'rate', 'prices',
                       'invoice', 'invoice_json', 'credits', 'taxes', 'simulate', 'compare_plans', 'project_usage', 'project_invoice']),
        ('write', array['record', 'record_batch', 'known_events', 'reserve', 'reserve_batch', 'settle', 'release', 'extend']),
        -- The functions that a reporter calls in its loop. Mappings and manual decisions need the level admin.
        ('report', array['plan_pushes', 'preview_pushes', 'claim_pushes', 'confirm_push', 'settle_pushes', 'release_pushes', 'uncertain_hours',
                         'settle_hour', 'fail_pushes', 'reconcilable_ranges', 'reconcile_range', 'reconciliation', 'report_status', 'pushes',
                         'report_mappings', 'report_journal', 'plan_deliveries', 'claim_deliveries', 'settle_deliveries', 'release_deliveries',
                         'judge_spikes']),
        ('admin', array['define_metric', 'retire_metric', 'verify', 'rebuild', 'maintain', 'access', 'define_endpoint', 'remove_endpoint',
                        'test_endpoint', 'retry_deliveries', 'set_spike_alert', 'remove_spike_alert', 'remove_limit', 'top_up', 'void_top_up']),
        ('admin', array['define_biller', 'report_metric', 'report_subject', 'resolve_push', 'retry_pushes', 'leave_pushes', 'adopt_journal',
                        'set_setting', 'admin_log', 'set_billing_cycle', 'define_plan', 'subscribe', 'unsubscribe', 'set_limit', 'set_tax']),
        ('approve', array['approve_correction', 'reject_correction', 'revert_correction']), ('admin', array['grant_credit', 'void_credit']),
        ('admin', array['void_event', 'amend_event', 'adjust', 'open_correction', 'stage_correction', 'watermark', 'close_period', 'close_due',
                        'verify_statements', 'settle_late_usage', 'erase_subject', 'define_price', 'retire_price', 'set_plan_minimum']),
        ('own', array['own_usage', 'own_summary', 'own_series', 'own_usage_by', 'own_events', 'own_limits', 'own_check_quota', 'own_balance',
                      'own_invoice', 'own_credits', 'own_project_usage', 'own_project_invoice']), ('login', array['authenticate']),
        ('owner', array['grant_access', 'revoke_access', 'create_api_key']), ('admin', array['api_keys', 'revoke_api_key'])
    ) as l (level, functions)
    cross join lateral unnest(l.functions) as f (function)
$$;

comment on function _level_functions() is
    'Returns the level of every public function: read, write, report, admin, approve, login (who takes the role of a key), own (read, for a role that '
    'is bound to subjects) or owner (never granted).';

create or replace function _level_rights(level text)
returns table (oid oid, signature text, acl aclitem[])
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        select p.oid, format('%I.%I(%s)', current_schema(), p.proname, pg_get_function_identity_arguments(p.oid)),
               coalesce(p.proacl, acldefault('f', p.proowner))
        from _level_functions() l
        join pg_proc p on p.proname = l.function and p.pronamespace = quote_ident(current_schema())::regnamespace
        where l.level = _level_rights.level
        order by p.proname;
end
$$;

comment on function _level_rights(text) is
    'Returns the installed functions of a level: their oids, their signatures for GRANT, and their privileges.';

create or replace function _check_level(level text, subject text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if level is not null then
        perform _check_word('level', level, '{read,write,report,admin,approve,login,own}');
    end if;
    if subject is not null and level is distinct from 'read' then
        raise exception using
            errcode = '22023', message = 'only level read can be granted for a subject', column = 'subject',
            detail = format('level %s.', coalesce(quote_literal(level), 'null')),
            hint = 'Grant read with a subject, or the level without a subject.';
    end if;
    if subject is not null then
        perform _check_name('subject', subject, 512);
    end if;
end
$$;

comment on function _check_level(text, text) is
    'Raises 22023 for an unknown level, for a subject with a level other than read, and for a subject that is blank or too long.';

create or replace function _access_role(role text)
returns regrole
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_role oid;
begin
    if _access_role.role is null then
        raise exception using errcode = '22004', message = 'role is null', column = 'role', hint = 'Pass the name of a role of this server.';
    end if;
    select oid into v_role from pg_roles where rolname = _access_role.role;
    if v_role is null then
        raise exception using
            errcode = '22023', message = 'unknown role', column = 'role',
            detail = format('role %s.', quote_literal(left(_access_role.role, 80))),
            hint = 'Create the role first. The name is case-sensitive. PUBLIC is not a role; access cannot be granted to it.';
    elsif _access_role.role = current_user then
        raise exception using
            errcode = '22023', message = 'the role owns the meter', column = 'role',
            detail = format('role %s.', quote_literal(left(_access_role.role, 80))),
            hint = 'The owner has all rights. Let applications connect as another role.';
    end if;
    -- A concurrent GRANT and CREATE OR REPLACE of one function would fail with "tuple concurrently updated". Installers hold this lock.
    begin
        lock table yoyo_lock in share row exclusive mode;
    exception when lock_not_available then
        perform _raise_busy('rights');
    end;
    return v_role;
end
$$;

comment on function _access_role(text) is
    'Returns the role of that name and locks access rights until the end of the transaction. Raises 22004 for null, 22023 for an '
    'unknown role or the owner, 55P03 after lock_timeout.';

create or replace function _privileges()
returns table (role oid, privilege text, kind text, object name)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_schema oid := quote_ident(current_schema())::regnamespace;
begin
    return query
        select a.grantee, a.privilege_type, case o.kind when 'function' then 'function' else 'table' end, o.name
        from _meter_objects() o, aclexplode(o.acl) a
        where a.grantee <> o.owner
        union all
        select a.grantee, a.privilege_type, 'table', c.relname || '.' || t.attname
        from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a
        where c.oid in (select o.oid from _meter_objects() o where o.kind <> 'function') and a.grantee <> c.relowner
        union all
        select a.grantee, a.privilege_type, 'schema', n.nspname
        from pg_namespace n, aclexplode(n.nspacl) a
        where n.oid = v_schema and a.grantee <> n.nspowner;
end
$$;

comment on function _privileges() is
    'Returns every privilege on the schema and on its functions, tables, columns and sequences that a role other than the owner has. '
    'Role 0 is PUBLIC.';
