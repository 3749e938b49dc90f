create or replace function _notify(type text, subject text, metric text, data jsonb)
returns void
language sql
volatile
set search_path from current
as $$
    insert into notifications (type, subject, metric, data) values (_notify.type, _notify.subject, _notify.metric, _notify.data)
$$;

comment on function _notify(text, text, text, jsonb) is
    'Writes a notification. It tells nobody by itself: NOTIFY would make commits wait for each other.';
