create or replace function _drop_superseded(push_ids bigint[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
as $$
#variable_conflict use_column
begin
    update pushes p set state = 'replaced', reason = 'superseded', settled_at = _drop_superseded.now, replaced_by = n.push_id
    from pushes o
    cross join lateral (
        select n.push_id from pushes n
        where n.subject = o.subject and n.push_id > o.push_id and n.metric = o.metric and n.biller = o.biller
          and n.bucket_start = o.bucket_start and n.mode = 'last' and n.state <> 'replaced'
        order by n.push_id desc limit 1
    ) n
    where o.push_id = any (push_ids) and o.mode = 'last' and p.subject = o.subject and p.push_id = o.push_id;
    -- The newer value is of another subject or metric, to which the customer was given since: this one must not overwrite it.
    update pushes p set state = 'held', reason = 'ambiguous', next_attempt_at = _drop_superseded.now
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

comment on function _drop_superseded(bigint[], timestamptz) is
    'Of pushes of mode last that are about to be sent, replaces those that are followed by a newer value of the same subject and metric, '
    'and holds those that would overwrite the newer value of another.';
