create or replace function _refused_subjects(now timestamptz)
returns table (subject text, metric text)
language sql
stable
set search_path from current
as $$
    select distinct n.subject, n.metric
    from (select * from notifications order by notification_id desc limit 5000) n
    where n.type = 'limit.refused' and n.created_at >= _refused_subjects.now - interval '24 hours'
$$;

comment on function _refused_subjects(timestamptz) is
    'The subjects of whose usage a limit has refused some within a day, as far as the last 5,000 notifications tell.';

create or replace function _recent_refusals(now timestamptz)
returns bigint
language sql
stable
set search_path from current
as $$
    select count(distinct r.subject) from _refused_subjects(_recent_refusals.now) r
$$;

comment on function _recent_refusals(timestamptz) is
    'How many subjects a limit has refused usage of within a day, as far as the last 5,000 notifications tell.';
