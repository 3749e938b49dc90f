create or replace function _matching(lines invoice_line[], match jsonb)
returns setof invoice_line
language sql
immutable parallel safe
set search_path from current
as $$
    select l.*
    from unnest(lines) l
    where l.kind <> 'total'
      and coalesce(l.plan = match ->> 'plan', not match ? 'plan') and coalesce(l.item = match ->> 'item', not match ? 'item')
      and coalesce(l.metric = match ->> 'metric', not match ? 'metric') and coalesce(l.kind = match ->> 'kind', not match ? 'kind')
$$;

comment on function _matching(invoice_line[], jsonb) is 'The lines with this plan, item, metric and kind; any, where match does not say.';
