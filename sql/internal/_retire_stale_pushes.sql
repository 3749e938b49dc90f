-- A value of mode last that is followed by a newer one is not sent any more, and one that nobody knows of is sent anew: sent twice it
-- counts once. Of anything else, what the biller no longer recognises is never sent again. What was in time when it was planned may be
-- too old or too late by now: the rules are asked again for what was certainly never sent.
create or replace function _retire_stale_pushes(biller billers, push_ids bigint[], now timestamptz)
returns bigint[]
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
as $$
#variable_conflict use_column
declare
    v_window      interval := (_retire_stale_pushes.biller).dedup_window - (_retire_stale_pushes.biller).dedup_margin;
    v_known_since timestamptz := _shift(_retire_stale_pushes.now, - v_window);
    v_oldest      timestamptz := _shift(_retire_stale_pushes.now, - (_retire_stale_pushes.biller).max_age);
    v_push        pushes;
begin
    if not exists (
        select from pushes p
        where p.push_id = any (push_ids)
          and (p.mode = 'last' or p.unsure_since <= v_known_since or p.stamped_at < v_oldest
               or p.due_at < _retire_stale_pushes.now and (_retire_stale_pushes.biller).late <> 'send')
    ) then
        return push_ids;
    end if;
    perform _drop_superseded(push_ids, _retire_stale_pushes.now);
    for v_push in
        select p.* from pushes p
        where p.push_id = any (push_ids) and p.state = 'planned' and p.mode = 'last' and p.unsure_since <= v_known_since
    loop
        perform _replace_push(v_push, v_push.customer, v_push.event_name, v_push.stamped_at, v_push.due_at, 'superseded',
                              _retire_stale_pushes.now);
    end loop;
    update pushes p set state = 'uncertain', next_attempt_at = _retire_stale_pushes.now
    where p.push_id = any (push_ids) and p.state = 'planned' and p.unsure_since <= v_known_since;
    perform _apply_rules(_retire_stale_pushes.biller, push_ids, v_oldest, _retire_stale_pushes.now);
    return array(
        select case when p.state = 'replaced' and p.reason in ('too_old', 'late') then p.replaced_by else p.push_id end
        from unnest(push_ids) with ordinality i (push_id, n)
        join pushes p on p.push_id = i.push_id
        where p.state = 'planned' or p.reason in ('too_old', 'late') and p.state = 'replaced'
        order by i.n);
end
$$;

comment on function _retire_stale_pushes(billers, bigint[], timestamptz) is
    'Of pushes that are about to be sent, takes out those that must not be: they become uncertain, held, left or replaced. Returns those '
    'that remain, and those that were made for others because they needed the present time, in the same order.';
