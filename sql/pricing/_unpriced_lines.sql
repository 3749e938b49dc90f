-- Nothing that was used is hidden: neither a metric without a price, nor usage of a time without one.
create or replace function _unpriced_lines(scope invoice_scope, segments invoice_segment[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select null::text, m.key, 'usage', lower(g), upper(g), u.quantity, m.unit, null::numeric, null::numeric, null::numeric, null::text, null::bigint,
           case when p.times is null then 'no plan of the subject has a price for this metric'
                else 'no plan of the subject has a price for this metric at this time' end,
           null::text, null::integer, null::numeric, u.event_count, null::text
    from metrics m
    left join lateral (
        select range_agg(tstzrange(s.since, s.until)) as times from _cut_segments(scope, segments) s where s.metric = m.key having count(*) > 0
    ) p on true
    cross join lateral unnest(tstzmultirange(tstzrange(scope.since, scope.until)) - coalesce(p.times, '{}')) g
    cross join lateral _measured_usage(m, scope.subject, lower(g), upper(g), scope.as_of) u
    where m.defined_at <= scope.known_at and (u.event_count <> 0 or u.quantity <> 0 or p.times is null
        and (m.retired_at is null or m.retired_at > scope.known_at))
    order by m.key, lower(g);
end
$$;

comment on function _unpriced_lines(invoice_scope, invoice_segment[]) is
    'The lines for usage that no plan of the subject has a price for: without amounts. A metric without any price has a line for zero usage, too. '
    'Raises UM006 and 40001 as usage() does.';
