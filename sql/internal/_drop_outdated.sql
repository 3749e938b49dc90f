-- A value of mode last that is followed by a newer one is not sent any more, and one that nobody knows of is sent anew: sent twice it
-- counts once. Of anything else, what the biller no longer recognises is never sent again.
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
        where p.push_id = any (push_ids) and (p.mode = 'last' or p.unsure_since <= v_known_since or p.stamped_at < v_oldest)
    ) then
        return;
    end if;
    update pushes p set state = 'replaced', reason = 'superseded', settled_at = _drop_outdated.now, replaced_by = n.push_id
    from pushes o
    cross join lateral (
        select n.push_id from pushes n
        where n.subject = o.subject and n.push_id > o.push_id and n.metric = o.metric and n.biller = o.biller
          and n.bucket_start = o.bucket_start and n.mode = 'last' and n.state <> 'replaced'
        order by n.push_id desc limit 1
    ) n
    where o.push_id = any (push_ids) and o.mode = 'last' and p.subject = o.subject and p.push_id = o.push_id;
    for v_push in
        select p.* from pushes p
        where p.push_id = any (push_ids) and p.state = 'planned' and p.mode = 'last' and p.unsure_since <= v_known_since
    loop
        perform _replace_push(v_push, v_push.customer, v_push.event_name, v_push.stamped_at, v_push.due_at, 'superseded', _drop_outdated.now);
    end loop;
    update pushes p set
        state = case when p.unsure_since is not null then 'uncertain' else 'held' end,
        reason = case when p.unsure_since is null then 'too_old' else p.reason end, next_attempt_at = _drop_outdated.now
    where p.push_id = any (push_ids) and p.state = 'planned'
      and (p.unsure_since <= v_known_since or p.unsure_since is null and p.stamped_at < v_oldest);
end
$$;

comment on function _drop_outdated(billers, bigint[], timestamptz) is
    'Of pushes that are about to be sent, takes out those that must not be: they become uncertain, held or replaced.';
