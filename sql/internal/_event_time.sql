-- `near` comes from a client, whose clock may have milliseconds only, so it says where to look first and nothing else. Without it, or
-- where it is wrong, all events of the subject are searched. OFFSET 0 makes it one look-up by primary key for each metric.
create or replace function _event_time(subject text, metric text, event_id bigint, near timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_at       timestamptz;
    v_distance interval;
begin
    foreach v_distance in array case when near is not null then array[interval '0', interval '1 second'] else '{}' end loop
        select found.at into v_at
        from metrics m
        cross join lateral (
            select e.at from events e
            where e.subject = _event_time.subject and e.metric = m.key and e.event_id = _event_time.event_id
              and e.at between near - v_distance and near + v_distance
            offset 0
        ) found
        where _event_time.metric is null or m.key = _event_time.metric;
        exit when v_at is not null;
    end loop;
    if v_at is null then
        select e.at into v_at from events e
        where e.subject = _event_time.subject and e.event_id = _event_time.event_id
          and (_event_time.metric is null or e.metric = _event_time.metric);
    end if;
    return v_at;
end
$$;

comment on function _event_time(text, text, bigint, timestamptz) is
    'The time of an event of a subject, looked for at and around `near` first; null if the subject has no such event.';
