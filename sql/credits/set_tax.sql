create or replace function set_tax(
    subject text, percent numeric, inclusive boolean default false, name text default 'tax', since timestamptz default null
)
returns tax
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_held  taxes;
    v_since timestamptz;
begin
    if _is_open('set_tax') then perform _check_caller('set_tax'); end if;
    perform _check_read_committed('setting a tax'), _check_tax(set_tax.subject, set_tax.percent, set_tax.inclusive, set_tax.name, set_tax.since),
        _lock_sealed(set_tax.subject);
    v_since := coalesce(set_tax.since, _change_since(array(
        select t.since from taxes t where t.subject = set_tax.subject and t.name = set_tax.name)));
    select * into v_held
    from taxes t
    where t.subject = set_tax.subject and t.name = set_tax.name and t.since <= v_since
    order by t.since desc, t.tax_id desc
    limit 1;
    if v_held.tax_id is not null and (v_held.percent, v_held.inclusive) is not distinct from (trim_scale(set_tax.percent), set_tax.inclusive)
        and (set_tax.since is null or v_held.since = v_since)
    then
        return _as_tax(v_held);
    end if;
    insert into taxes (recorded_at, since, inclusive, subject, name, recorded_by, percent)
    values (_history_recorded_at(set_tax.subject), v_since, set_tax.inclusive, set_tax.subject, set_tax.name, _session_role(),
            trim_scale(set_tax.percent))
    returning * into v_held;
    perform _log_change('set_tax', set_tax.subject, null, to_jsonb(v_held));
    return _as_tax(v_held);
end
$$;

comment on function set_tax(text, numeric, boolean, text, timestamptz) is
    'Sets a tax of a subject from a time on, and returns it: percent of what is left to pay after credits. inclusive: prices contain it, and it is '
    'shown, not added. name: what it is called on invoices; several names are several taxes. percent null: it is not due any more. since null: the '
    'first version holds from the beginning, a change from now. An invoice has the taxes that hold when its period ends. Raises 22004 or 22023 for '
    'a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 if the subject is being closed, UM008 for a subject that is on '
    'another shard or being moved. Example: BEGIN; SELECT name, '
    'percent, inclusive FROM meter.set_tax(''acct_1'', 19, name => ''VAT''); ROLLBACK;';
