-- What is stored of a subject may have changed a definition: the first limit makes recording look at limits, the first price fixes a currency.
-- A correction of several subjects has entries that stay elsewhere.
create or replace function _receive_definitions(subject text, facts jsonb)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _check_arriving(_receive_definitions.subject);
    perform _metric_limits_changed(l.metric)
    from (
        select m.key as metric from metrics m
        where not m.limited and m.key in (select jsonb_array_elements_text(_receive_definitions.facts -> 'limited'))
        order by 1 offset 0
    ) l;
    insert into shared_corrections (correction_id, entry_count)
    select c.id::bigint, c.entry_count::bigint from jsonb_each_text(_receive_definitions.facts -> 'corrections') c (id, entry_count)
    on conflict do nothing;
    perform _fix_currency(c.plan, c.currency) from jsonb_each_text(_receive_definitions.facts -> 'currencies') c (plan, currency);
end
$$;

comment on function _receive_definitions(text, jsonb) is
    'Lets the definitions here be what the rows of a subject that is arriving need, and notes the corrections that it shares with others; '
    'facts: its _move_facts(). Raises 55P03 if a metric is locked.';

-- A right is one of a server, so it is granted anew.
create or replace function _receive_access(subject text, roles text[])
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _check_arriving(_receive_access.subject);
    perform grant_access(r, 'read', _receive_access.subject) from unnest(roles) r;
end
$$;

comment on function _receive_access(text, text[]) is 'Lets roles that are bound to a subject read it here.';
