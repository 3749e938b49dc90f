-- What a worker that died had begun to send is sent again under the same identifier, as long as the biller recognises it; afterwards
-- nobody knows. A value of mode last that is followed by a newer one is left out, and one that nobody knows of is sent anew: sent
-- twice, it counts once.
create or replace function _claim_lane(
    biller billers, lane report_lanes, worker text, max_pushes integer, leased_until timestamptz, now timestamptz
)
returns setof claimed_push
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_known_since timestamptz := _shift(_claim_lane.now, - ((_claim_lane.biller).dedup_window - (_claim_lane.biller).dedup_margin));
    v_oldest      timestamptz := _shift(_claim_lane.now, - (_claim_lane.biller).max_age);
    v_push_ids    bigint[];
    v_push        pushes;
begin
    update pushes p set state = 'planned', next_attempt_at = _claim_lane.now
    where p.biller = (lane).biller and p.customer = (lane).customer and p.event_name = (lane).event_name and p.state = 'sending';
    v_push_ids := array(
        select p.push_id from pushes p
        where p.biller = (lane).biller and p.customer = (lane).customer and p.event_name = (lane).event_name and p.state = 'planned'
          and p.next_attempt_at <= _claim_lane.now
        order by p.due_at, p.push_id limit _claim_lane.max_pushes);

    update pushes p set state = 'replaced', reason = 'superseded', settled_at = _claim_lane.now, replaced_by = n.push_id
    from pushes o
    cross join lateral (
        select n.push_id from pushes n
        where n.subject = o.subject and n.push_id > o.push_id and n.metric = o.metric and n.biller = o.biller
          and n.bucket_start = o.bucket_start and n.mode = 'last' and n.state <> 'replaced'
        order by n.push_id desc limit 1
    ) n
    where o.biller = (lane).biller and o.customer = (lane).customer and o.event_name = (lane).event_name and o.state = 'planned'
      and o.push_id = any (v_push_ids) and o.mode = 'last' and p.subject = o.subject and p.push_id = o.push_id;
    for v_push in
        select p.* from pushes p
        where p.biller = (lane).biller and p.customer = (lane).customer and p.event_name = (lane).event_name
          and p.push_id = any (v_push_ids) and p.state = 'planned' and p.mode = 'last' and p.unsure_since <= v_known_since
    loop
        perform _replace_push(v_push, v_push.customer, v_push.event_name, v_push.stamped_at, v_push.due_at, 'superseded', _claim_lane.now);
    end loop;

    update pushes p set
        state = case when p.unsure_since is not null then 'uncertain' else 'held' end,
        reason = case when p.unsure_since is null then 'too_old' else p.reason end, next_attempt_at = _claim_lane.now
    where p.biller = (lane).biller and p.customer = (lane).customer and p.event_name = (lane).event_name
      and p.push_id = any (v_push_ids) and p.state = 'planned'
      and (p.unsure_since <= v_known_since or p.unsure_since is null and p.stamped_at < v_oldest);
    return query
        with claimed as (
            update pushes p set
                state = 'sending', attempts = p.attempts + 1, unsure_attempts = p.unsure_attempts + 1,
                unsure_since = coalesce(p.unsure_since, _claim_lane.now), last_attempt_at = _claim_lane.now,
                first_attempt_at = coalesce(p.first_attempt_at, _claim_lane.now)
            where p.biller = (lane).biller and p.customer = (lane).customer and p.event_name = (lane).event_name
              and p.push_id = any (v_push_ids) and p.state = 'planned'
            returning p.*
        )
        select c.push_id, c.attempts, c.subject, c.metric, c.identifier, c.customer, c.event_name, trim_scale(c.value)::text,
               c.stamped_at, c.due_at, _claim_lane.leased_until
        from claimed c order by c.due_at, c.push_id;
end
$$;

comment on function _claim_lane(billers, report_lanes, text, integer, timestamptz, timestamptz) is
    'Claims the first pushes of a lane that is locked; what can be sent no more becomes uncertain, held or replaced instead.';
