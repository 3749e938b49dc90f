-- Of a subject with anything in the tables that move, nothing may be left behind: its keys would count twice. What the log had of it may be gone
-- already, with the months that were dropped; its series is not.
create or replace function _pin_problems(subject text)
returns table (problem text, hint text)
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select 'something is stored of the subject', 'Pin subjects before their first use. This one can be moved: pymeter shard move SUBJECT SHARD'
    where _has_rows(_pin_problems.subject)
    union all
    select 'the subject is being moved, or has moved', 'Run: pymeter shard status'
    where exists (select from moves m where m.subject = _pin_problems.subject)
    union all
    select 'a role may read the subject', 'It would not on the other shard. Take the right away, pin the subject, and grant it again.'
    where exists (
        select from access_grants g join pg_roles o on o.oid = g.role
        where g.subject = _pin_problems.subject and g.cluster = _cluster());
end
$$;

comment on function _pin_problems(text) is 'Why a map cannot say that a subject lies on another shard than this one; no row: it can.';
