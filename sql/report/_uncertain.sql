create or replace function _hour_totals(biller text, customer text, event_name text, hour timestamptz)
returns table (delivered numeric, uncertain numeric, uncertain_pushes bigint, in_flight bigint)
language sql
stable
set search_path from current
as $$
    select coalesce(sum(p.value) filter (where p.state in ('delivered', 'resolved')), 0),
           coalesce(sum(p.value) filter (where p.state = 'uncertain'), 0), count(*) filter (where p.state = 'uncertain'),
           count(*) filter (where p.state in ('planned', 'sending') and p.unsure_attempts > 0)
    from pushes p
    where p.biller = _hour_totals.biller and p.customer = _hour_totals.customer and p.event_name = _hour_totals.event_name
      and p.stamped_at >= _hour_totals.hour and p.stamped_at < _bucket_end('hour', _hour_totals.hour)
$$;

comment on function _hour_totals(text, text, text, timestamptz) is
    'The sums and counts of an hour''s pushes: delivered, uncertain, and in flight (may still be counted).';

-- Among pushes with equal values the earlier ones are taken as delivered, since it makes no difference. So sets are compared by their
-- values. With more than 12 pushes there are too many sets to try, and several would match: only all or none are considered.
create or replace function _matching_subset(push_ids bigint[], amounts numeric[], missing numeric)
returns bigint[]
language sql
immutable
set search_path from current
as $$
    with sets as (
        select array_agg(v.amount order by v.amount, v.push_id) as amounts, array_agg(v.push_id order by v.push_id) as push_ids
        from generate_series(0, case when cardinality(push_ids) <= 12 then (1 << cardinality(push_ids)) - 1 else 0 end) s (members)
        join unnest(push_ids, amounts) with ordinality v (push_id, amount, n) on s.members >> (v.n::integer - 1) & 1 = 1
        group by s.members
        having sum(v.amount) = missing
        union all
        select '{}', '{}' where missing = 0
        union all
        select amounts, push_ids where cardinality(push_ids) > 12 and missing = (select sum(a) from unnest(amounts) a)
    )
    select case when count(distinct amounts) = 1 then min(push_ids) end from sets
$$;

comment on function _matching_subset(bigint[], numeric[], numeric) is
    'The pushes whose amounts add up to what is missing; null if no set of amounts does, or more than one.';

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
        perform _refresh_lanes(array[v_lane], _settle_uncertain.now);
    end if;
    return (case when cardinality(v_absent) = 0 then 'present' when present = '{}' then 'absent' else 'partly' end,
            cardinality(present), cardinality(v_absent), 0)::settled_hour;
end
$$;

comment on function _settle_uncertain(billers, pushes[], bigint[], timestamptz) is
    'Resolves the uncertain pushes of an hour that the biller''s total contains. The others are replaced once exactly these have been '
    'missing for the absence interval. The caller has locked their lane.';
