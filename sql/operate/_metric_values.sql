create or replace function _partition_horizon(now timestamptz)
returns timestamptz
language sql
stable
set search_path from current
as $$
    select coalesce(
        (select min(m) from _missing_months(_partition_horizon.now) m),
        (date_trunc('month', _partition_horizon.now at time zone interval '0') + interval '4 months') at time zone interval '0')
$$;

comment on function _partition_horizon(timestamptz) is
    'Until when the log has partitions without a gap: at most until the end of the three months after this one.';

create or replace function _open_reservations(now timestamptz, out number bigint, out oldest_at timestamptz)
returns record
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select count(*), min(o.at)
    from (select r.at from reservations r where r.state = 'held' and r.expires_at > _open_reservations.now
            and ((select _all_here()) or _is_here(r.subject))
          order by r.expires_at limit 10000) o
$$;

comment on function _open_reservations(timestamptz) is
    'How many reservations hold something, at most 10,000, and when the oldest of those was made. Those that expire first are counted.';

create or replace function _pending_notifications()
returns bigint
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select (select count(*)
            from (select created_at from notifications where planned_at is null order by notification_id limit 10000) n
            where n.created_at >= (select min(e.since) from endpoints e where e.disabled_at is null))
         + coalesce(sum(p.number), 0)::bigint
    from endpoints e
    cross join lateral (
        select (select count(*) from (select from deliveries where endpoint = e.name and state = 'waiting' limit 10000) w)
             + (select count(*) from (select from deliveries where endpoint = e.name and state in ('planned', 'sending') limit 10000) d) as number
    ) p
    where e.disabled_at is null
$$;

comment on function _pending_notifications() is
    'How many notifications are to be planned for endpoints in use, and deliveries to be sent to them; at most 10,000 of each kind and endpoint.';

create or replace function _dead_deliveries()
returns bigint
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select coalesce(sum(d.dead), 0)::bigint
    from endpoints e
    cross join lateral (
        select count(*) as dead from (select from deliveries d where d.endpoint = e.name and d.state = 'dead' limit 10000) d
    ) d
$$;

comment on function _dead_deliveries() is 'How many deliveries were given up; of each endpoint, at most 10,000 are counted.';

create or replace function _unsettled_pushes()
returns table (state text, number bigint)
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select s.state, count(p.state)
    from unnest('{planned,sending,uncertain,held,rejected}'::text[]) s (state)
    left join (
        (select state, biller from pushes where state in ('planned', 'sending') and ((select _all_here()) or _is_here(subject))
         limit 10000)
        union all
        (select state, biller from pushes where state in ('uncertain', 'held', 'rejected')
           and ((select _all_here()) or _is_here(subject))
         limit 10000)
    ) p on p.state = s.state and not _is_rehearsal(p.biller)
    group by s.state
$$;

comment on function _unsettled_pushes() is
    'How many pushes are to be sent or need a decision, by state, without rehearsals. Of those to be sent, and of the others, 10,000 are looked at.';

create or replace function _task_age(task text, now timestamptz)
returns numeric
language sql
stable
set search_path from current
as $$
    select greatest(0, extract(epoch from _task_age.now - coalesce(
        (select m.done_at from maintenance m where m.task = _task_age.task), (select min(i.installed_at) from installation i))))
$$;

comment on function _task_age(text, timestamptz) is
    'How many seconds ago a task of maintenance was done; if never, how long ago pymeter was installed.';
