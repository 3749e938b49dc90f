create or replace function _settle_uncertain(biller billers, uncertain pushes[], present bigint[], now timestamptz)
returns settled_hour
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_absent pushes[] := array(select u from unnest(uncertain) u where u.push_id <> all (present));
    v_same   boolean := not exists (
        select from unnest(uncertain) u where (u.absent_since is null) <> (u.push_id = any (present)));
    v_since  timestamptz := (select max(u.absent_since) from unnest(uncertain) u);
    v_lane   report_lanes;
    v_push   pushes;
begin
    if cardinality(v_absent) > 0 and (not v_same or _shift(v_since, (_settle_uncertain.biller).absence) > _settle_uncertain.now) then
        v_since := case when v_same then v_since else _settle_uncertain.now end;
        update pushes p set
            absent_since = case when p.push_id <> all (present) then v_since end,
            next_attempt_at = _shift(v_since, (_settle_uncertain.biller).absence)
        where p.push_id in (select push_id from unnest(uncertain));
        return ('waiting', 0, 0, cardinality(uncertain))::settled_hour;
    end if;
    update pushes p set state = 'resolved', settled_at = _settle_uncertain.now where p.push_id = any (present);
    foreach v_push in array v_absent loop
        v_push := _replace_push(v_push, v_push.customer, v_push.event_name, v_push.stamped_at, v_push.due_at, 'absent',
                                _settle_uncertain.now);
        v_lane := (v_push.biller, v_push.customer, v_push.event_name, null, null, null, null);
    end loop;
    if cardinality(v_absent) > 0 then
        perform _wake_lanes(array[v_lane], _settle_uncertain.now);
    end if;
    return (case when cardinality(v_absent) = 0 then 'present' when present = '{}' then 'absent' else 'partly' end,
            cardinality(present), cardinality(v_absent), 0)::settled_hour;
end
$$;

comment on function _settle_uncertain(billers, pushes[], bigint[], timestamptz) is
    'Resolves the uncertain pushes of an hour, given those that its total shows; the others are replaced if they were missing before, '
    'all of them and no others, since absence or longer. Their lane is locked.';
