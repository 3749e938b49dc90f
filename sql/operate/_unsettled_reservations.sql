create or replace function _unsettled_reservations(now timestamptz)
returns bigint
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select count(*)
    from (
        (select from reservations r
         where r.state = 'held' and r.expires_at <= _unsettled_reservations.now
           and r.expires_at >= _unsettled_reservations.now - interval '24 hours'
           and ((select _all_here()) or _is_here(r.subject))
         limit 10000)
        union all
        (select from reservations r
         where r.state = 'expired' and r.expires_at <= _unsettled_reservations.now
           and r.expires_at >= _unsettled_reservations.now - interval '24 hours'
           and ((select _all_here()) or _is_here(r.subject))
         limit 10000)
    ) r
$$;

comment on function _unsettled_reservations(timestamptz) is
    'How many reservations have expired within a day and have not been settled; of each state, at most 10,000 are counted.';

-- A heartbeat can go on for ever. Of the reservations that hold, the 10,000 that expire first are looked at.
create or replace function _long_reservations(now timestamptz)
returns bigint
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select count(*)
    from (select r.at from reservations r where r.state = 'held' and r.expires_at > _long_reservations.now
            and ((select _all_here()) or _is_here(r.subject))
          order by r.expires_at limit 10000) r
    where r.at < _add_duration(_long_reservations.now, _parse_duration(_setting_value('reservation_ttl_max')), -1, 'UTC')
$$;

comment on function _long_reservations(timestamptz) is
    'How many reservations have been extended for longer than the setting reservation_ttl_max.';
