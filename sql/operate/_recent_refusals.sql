create or replace function _recent_refusals(now timestamptz)
returns bigint
language sql
stable
set search_path from current
as $$
    select count(distinct n.subject)
    from (select * from notifications order by notification_id desc limit 5000) n
    where n.type = 'limit.refused' and n.created_at >= _recent_refusals.now - interval '24 hours'
$$;

comment on function _recent_refusals(timestamptz) is
    'How many subjects a limit has refused usage of within a day, as far as the last 5,000 notifications tell.';
