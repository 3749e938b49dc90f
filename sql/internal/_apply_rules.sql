-- What was planned as late was judged by the rule then.
create or replace function _apply_rules(biller billers, push_ids bigint[], oldest timestamptz, now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_stamp timestamptz := _whole_second(_apply_rules.now);
    v_aged  record;
begin
    for v_aged in
        select p as push, a.reason, _setting(_apply_rules.biller, p.mode, a.reason) as setting,
               _shift(nullif(_bucket_end(m.period, _bucket_start(m.period, v_stamp)), 'infinity'), (_apply_rules.biller).grace) as due_at
        from pushes p
        join metrics m on m.key = p.metric
        cross join lateral (
            select case when p.stamped_at < _apply_rules.oldest then 'too_old'
                        when p.due_at < _apply_rules.now and p.reason is distinct from 'late' then 'late' end as reason
        ) a
        where p.push_id = any (push_ids) and p.state = 'planned' and p.unsure_since is null and a.reason is not null
        order by p.push_id
    loop
        if v_aged.setting = 'restamp' then
            perform _replace_push(v_aged.push, (v_aged.push).customer, (v_aged.push).event_name, v_stamp, v_aged.due_at,
                                  v_aged.reason, _apply_rules.now);
        elsif v_aged.setting <> 'send' then
            update pushes p set
                state = case v_aged.setting when 'leave' then 'left' else 'held' end, reason = v_aged.reason,
                next_attempt_at = _apply_rules.now, settled_at = case v_aged.setting when 'leave' then _apply_rules.now end
            where p.subject = (v_aged.push).subject and p.push_id = (v_aged.push).push_id;
        end if;
    end loop;
end
$$;

comment on function _apply_rules(billers, bigint[], timestamptz, timestamptz) is
    'Applies the biller''s rules too_old and late to pushes that were in time when they were planned and are not any more: they are held, '
    'left, sent as they are, or replaced by others with the present time.';
