-- While the total of the open period is below unchecked_below, record() takes its short way. A limit of another period, or a trailing one, needs a
-- look at every event. Whether there is one is not asked of the event that was just counted: a late one is in other windows than the next.
create or replace function _note_room(metric metrics, series series, checks limit_check[], at timestamptz, now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    m         metrics := _note_room.metric;
    s         series := _note_room.series;
    v_binding limit_check := _binding_limit(checks);
    v_below   numeric;
begin
    if _note_room.at < s.coarse_start or _note_room.at >= s.coarse_end then
        return;
    end if;
    if _has_limits_of_other_periods(m, s.subject) then
        v_below := '-infinity';
    else
        select trim_scale(min(b.below)) into v_below
        from unnest(checks) c
        cross join lateral (
            select c.quota as below where c.action = 'block'
            union all
            select c.quota * k / 100
            from unnest(c.marks) k
            where c.action <> 'none' and not exists (
                select from fired_marks f
                where f.limit_id = c.limit_id and f.subject = s.subject and f.period_start = c.since and f.kind = 'mark' and f.mark = k)
            union all
            select c.quota + c.every * (greatest(floor((c.used - c.quota) / c.every), 0) + 1) where c.action <> 'none' and c.every is not null
        ) b;
    end if;
    update series n set
        unchecked_below = v_below, quota = v_binding.quota, limited_by = v_binding.name,
        unchecked_until = _limits_change_at(m.key, s.subject, _note_room.now)
    where n.series_id = s.series_id and n.stripe = 0
      and ((n.unchecked_below, n.quota, n.limited_by) is distinct from (v_below, v_binding.quota, v_binding.name)
           or n.unchecked_until <= _note_room.now);
end
$$;

comment on function _note_room(metrics, series, limit_check[], timestamptz, timestamptz) is
    'Notes in the row of a series up to which total of its open period no event has to be checked. checks: of an event at that time, as they '
    'are now. The caller has locked the row.';

create or replace function _has_limits_of_other_periods(metric metrics, subject text)
returns boolean
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select exists (
        select from limits l
        where l.metric = (_has_limits_of_other_periods.metric).key and l.period <> (_has_limits_of_other_periods.metric).coarse_bucket
          and l.quota is not null and not l.removed
          and (l.subject = _has_limits_of_other_periods.subject
               or l.subject is null and (l.plan is null or exists (
                   select from subscriptions s where s.subject = _has_limits_of_other_periods.subject and s.plan = l.plan))))
$$;

comment on function _has_limits_of_other_periods(metrics, text) is
    'Whether a subject has or had a limit of another period than the coarse bucket''s; a past one still holds for late events of its time.';

create or replace function _limits_change_at(metric text, subject text, now timestamptz)
returns timestamptz
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select least(
        (select min(l.since) from limits l
         where l.metric = _limits_change_at.metric and l.subject = _limits_change_at.subject and l.since > _limits_change_at.now),
        (select min(l.since) from limits l where l.metric = _limits_change_at.metric and l.subject is null and l.since > _limits_change_at.now),
        (select min(t.at) from subscriptions s, unnest(array[s.since, s.until]) t (at)
         where s.subject = _limits_change_at.subject and t.at > _limits_change_at.now))
$$;

comment on function _limits_change_at(text, text, timestamptz) is
    'When limits change by themselves next after an instant, because a version or a subscription begins or ends; null: never.';
