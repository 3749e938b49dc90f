-- A value of mode last that is followed by a newer one is not sent any more, and one that nobody knows of is sent anew: sent twice it
-- counts once. Of anything else, what the biller no longer recognises is never sent again. What was in time when it was planned may be
-- too old or too late by now: the rules are asked again for what was certainly never sent.
create or replace function _drop_outdated(biller billers, push_ids bigint[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
as $$
#variable_conflict use_column
declare
    v_known_since timestamptz := _shift(_drop_outdated.now, - ((_drop_outdated.biller).dedup_window - (_drop_outdated.biller).dedup_margin));
    v_oldest      timestamptz := _shift(_drop_outdated.now, - (_drop_outdated.biller).max_age);
    v_push        pushes;
begin
    if not exists (
        select from pushes p
        where p.push_id = any (push_ids)
          and (p.mode = 'last' or p.unsure_since <= v_known_since or p.stamped_at < v_oldest
               or p.due_at < _drop_outdated.now and (_drop_outdated.biller).late <> 'send')
    ) then
        return;
    end if;
    perform _drop_superseded(push_ids, _drop_outdated.now);
    for v_push in
        select p.* from pushes p
        where p.push_id = any (push_ids) and p.state = 'planned' and p.mode = 'last' and p.unsure_since <= v_known_since
    loop
        perform _replace_push(v_push, v_push.customer, v_push.event_name, v_push.stamped_at, v_push.due_at, 'superseded', _drop_outdated.now);
    end loop;
    update pushes p set state = 'uncertain', next_attempt_at = _drop_outdated.now
    where p.push_id = any (push_ids) and p.state = 'planned' and p.unsure_since <= v_known_since;
    perform _apply_rules(_drop_outdated.biller, push_ids, v_oldest, _drop_outdated.now);
end
$$;

comment on function _drop_outdated(billers, bigint[], timestamptz) is
    'Of pushes that are about to be sent, takes out those that must not be: they become uncertain, held, left or replaced.';
