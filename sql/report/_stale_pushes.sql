-- In mode last, a value that a newer one follows is not sent any more, and one with an unknown outcome is reissued: sent twice, it counts
-- once. In other modes, a push whose identifier the biller no longer recognises is never sent again. A push that was planned in time may
-- be too old or too late by now, so the policy is applied again to pushes that were never sent.
create or replace function _retire_stale_pushes(biller billers, push_ids bigint[], now timestamptz)
returns bigint[]
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
set enable_seqscan to off
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
    perform _replace_superseded(push_ids, _retire_stale_pushes.now);
    for v_push in
        select p.* from pushes p
        where p.push_id = any (push_ids) and p.state = 'planned' and p.mode = 'last' and p.unsure_since <= v_known_since
    loop
        perform _replace_push(v_push, v_push.customer, v_push.event_name, v_push.stamped_at, v_push.due_at, 'superseded',
                              _retire_stale_pushes.now);
    end loop;
    update pushes p set state = 'uncertain', next_attempt_at = _retire_stale_pushes.now
    where p.push_id = any (push_ids) and p.state = 'planned' and p.unsure_since <= v_known_since;
    perform _apply_age_policy(_retire_stale_pushes.biller, push_ids, v_oldest, _retire_stale_pushes.now);
    return array(
        select case when p.state = 'replaced' and p.reason in ('too_old', 'late') then p.replaced_by else p.push_id end
        from unnest(push_ids) with ordinality i (push_id, n)
        join pushes p on p.push_id = i.push_id
        where p.state = 'planned' or p.reason in ('too_old', 'late') and p.state = 'replaced'
        order by i.n);
end
$$;

comment on function _retire_stale_pushes(billers, bigint[], timestamptz) is
    'Takes out of claimed pushes those that must not be sent any more: they become uncertain, held, left or replaced. Returns, in the same '
    'order, the ones to send, including replacements that have the present time.';

create or replace function _replace_superseded(push_ids bigint[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    update pushes p set state = 'replaced', reason = 'superseded', settled_at = _replace_superseded.now, replaced_by = n.push_id
    from pushes o
    cross join lateral (
        select n.push_id from pushes n
        where n.subject = o.subject and n.push_id > o.push_id and n.metric = o.metric and n.biller = o.biller
          and n.bucket_start = o.bucket_start and n.mode = 'last' and n.state <> 'replaced'
        order by n.push_id desc limit 1
    ) n
    where o.push_id = any (push_ids) and o.mode = 'last' and p.subject = o.subject and p.push_id = o.push_id;
    -- The newer value belongs to another subject or metric, which has since been mapped to the customer: do not overwrite it.
    update pushes p set state = 'held', reason = 'ambiguous', next_attempt_at = _replace_superseded.now
    from metrics m
    where p.push_id = any (push_ids) and p.state = 'planned' and p.mode = 'last' and m.key = p.metric
      and exists (
          select from pushes n
          where n.biller = p.biller and n.customer = p.customer and n.event_name = p.event_name and n.push_id > p.push_id
            and n.stamped_at >= p.bucket_start and n.stamped_at < _bucket_end(m.period, p.bucket_start)
            and n.mode = 'last' and n.state not in ('held', 'left', 'rejected', 'replaced')
            and (n.subject, n.metric) <> (p.subject, p.metric));
end
$$;

comment on function _replace_superseded(bigint[], timestamptz) is
    'Replaces pushes in mode last that a newer value of the same subject and metric follows, and holds those that would overwrite a newer '
    'value of another subject or metric.';

-- A push that was already late when it was planned keeps the decision of that time.
create or replace function _apply_age_policy(biller billers, push_ids bigint[], oldest timestamptz, now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_stamp timestamptz := _whole_second(_apply_age_policy.now);
    v_aged  record;
begin
    for v_aged in
        select p as push, a.reason, _policy_action(_apply_age_policy.biller, p.mode, a.reason) as action,
               _shift(nullif(_bucket_end(m.period, _bucket_start(m.period, v_stamp)), 'infinity'), (_apply_age_policy.biller).grace) as due_at
        from pushes p
        join metrics m on m.key = p.metric
        cross join lateral (
            select case when p.stamped_at < _apply_age_policy.oldest then 'too_old'
                        when p.due_at < _apply_age_policy.now and p.reason is distinct from 'late' then 'late' end as reason
        ) a
        where p.push_id = any (push_ids) and p.state = 'planned' and p.unsure_since is null and p.mode <> 'item' and a.reason is not null
        order by p.push_id
    loop
        if v_aged.action = 'restamp' then
            perform _replace_push(v_aged.push, (v_aged.push).customer, (v_aged.push).event_name, v_stamp, v_aged.due_at,
                                  v_aged.reason, _apply_age_policy.now);
        elsif v_aged.action <> 'send' then
            update pushes p set
                state = case v_aged.action when 'leave' then 'left' else 'held' end, reason = v_aged.reason,
                next_attempt_at = _apply_age_policy.now, settled_at = case v_aged.action when 'leave' then _apply_age_policy.now end
            where p.subject = (v_aged.push).subject and p.push_id = (v_aged.push).push_id;
        end if;
    end loop;
end
$$;

comment on function _apply_age_policy(billers, bigint[], timestamptz, timestamptz) is
    'Applies the policies too_old and late to pushes that were in time when they were planned but no longer are: they are held, left, sent '
    'as they are, or replaced by pushes with the present time.';
