create or replace function endpoints()
returns setof endpoint_status
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if _is_open('endpoints') then perform _check_caller('endpoints'); end if;
    return query
        select e.name, e.url, e.types, e.format, e.secret_name, e.since, e.failing_since, e.disabled_at, e.disabled_reason, e.created_at,
               w.waiting + f.first, d.dead, least(w.oldest, f.oldest)
        from endpoints e
        cross join lateral (
            select count(*) as waiting, min(d.created_at) as oldest
            from (select d.created_at from deliveries d where d.endpoint = e.name and d.state = 'waiting' limit 10000) d
        ) w
        cross join lateral (
            select count(*) as first, min(d.created_at) as oldest
            from (select d.created_at from deliveries d where d.endpoint = e.name and d.state in ('planned', 'sending') limit 10000) d
        ) f
        cross join lateral (
            select count(*) as dead from (select from deliveries d where d.endpoint = e.name and d.state = 'dead' limit 10000) d
        ) d
        order by e.name;
end
$$;

comment on function endpoints() is
    'Returns the endpoints by name, with what is still to be sent to each (open_deliveries) and what was given up (dead_deliveries), counted up to '
    '10,000. Example: SELECT name, format, open_deliveries, dead_deliveries FROM meter.endpoints();';
