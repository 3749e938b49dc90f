create or replace function _settle_found(uncertain pushes[], present bigint[], split integer, now timestamptz)
returns settled_hour
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_missing bigint := cardinality(uncertain) - cardinality(present);
begin
    update pushes p set state = 'resolved', settled_at = _settle_found.now where p.push_id = any (present);
    -- What is missing is looked for anew: it was not missing together with these.
    update pushes p set absent_since = null, next_attempt_at = _settle_found.now
    where p.push_id in (select u.push_id from unnest(uncertain) u) and p.state = 'uncertain';
    return (case when v_missing = 0 then 'present' else 'partly' end, cardinality(present) + split, 0, v_missing)::settled_hour;
end
$$;

comment on function _settle_found(pushes[], bigint[], integer, timestamptz) is
    'Resolves those pushes of an hour that its total shows, and leaves the others uncertain. Their lane is locked.';
