create or replace function reservations(
    subject text default null, metric text default null, state text default null, max_rows integer default 100, before_id bigint default null
)
returns setof reservations
language plpgsql
stable
security definer
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock_timestamp();
begin
    if _is_open('reservations') then perform _check_caller('reservations'); end if;
    perform _check_scope(reservations.subject, reservations.metric), _check_max_rows(reservations.max_rows);
    if reservations.state is not null then
        perform _check_word('state', reservations.state, '{held,settled,released,expired}');
    end if;
    return query
        select r.reservation_id, r.metric, r.subject, r.idempotency_key, r.quantity, r.minimum, r.held, r.at, r.expires_at,
               case when r.state = 'held' and r.expires_at <= v_now then 'expired' else r.state end,
               r.settled_quantity, r.settled_at, r.settled_for, r.is_late, r.metadata
        from reservations r
        where ((select _all_here()) or _is_here(r.subject))
          and (reservations.subject is null or r.subject = reservations.subject)
          and (reservations.metric is null or r.metric = reservations.metric)
          and (reservations.before_id is null or r.reservation_id < reservations.before_id)
          and (reservations.state is null or case reservations.state
              when 'held' then r.state = 'held' and r.expires_at > v_now
              when 'expired' then r.state = 'expired' or r.state = 'held' and r.expires_at <= v_now
              else r.state = reservations.state end)
        order by r.reservation_id desc
        limit reservations.max_rows;
end
$$;

comment on function reservations(text, text, text, integer, bigint) is
    'Returns reservations, the newest first: of a subject, of a metric, or in a state, if one is given. state: held, settled, released or expired; '
    'one whose expires_at has come is expired. held: how much it holds, or held. Keyset paging: pass the last reservation_id as before_id. Raises '
    'UM001 for an unknown metric, 22004 or 22023 for a bad value, UM008 for a subject that is on another shard or being moved. Example: BEGIN; '
    'SELECT outcome FROM meter.reserve(''acct_9'', ''tokens'', 80); '
    'SELECT subject, metric, held, state FROM meter.reservations(subject => ''acct_9'', state => ''held''); ROLLBACK;';
