create or replace function deliveries(
    endpoint text default null, state text default null, subject text default null, max_rows integer default 100, after_id bigint default null
)
returns setof deliveries
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if _is_open('deliveries') then perform _check_caller('deliveries'); end if;
    perform _check_max_rows(deliveries.max_rows);
    if deliveries.state is not null then
        perform _check_word('state', deliveries.state, '{waiting,planned,sending,delivered,dead}');
    end if;
    return query
        select d.*
        from deliveries d
        where (deliveries.endpoint is null or d.endpoint = deliveries.endpoint)
          and (deliveries.state is null or d.state = deliveries.state)
          and (deliveries.subject is null or d.subject = deliveries.subject)
          and (deliveries.after_id is null or d.delivery_id < deliveries.after_id)
        order by d.delivery_id desc
        limit deliveries.max_rows;
end
$$;

comment on function deliveries(text, text, text, integer, bigint) is
    'The deliveries, newest first: all, or those of an endpoint, in a state (waiting, planned, sending, delivered, dead) or of a subject; at most '
    'max_rows (1 to 10,000). For the next page, pass the last row''s delivery_id as after_id. Raises 22004 or 22023 for a bad value. Example: SELECT '
    'type, state, status, error FROM meter.deliveries(state => ''dead'');';
