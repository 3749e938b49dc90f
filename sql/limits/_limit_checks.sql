-- Recorders lock the row of the series first and pass the clock's time, so that a version of a limit that has just been committed counts.
-- Trailing windows are open, because recording counts what is ahead of the clock too; a question about the past ends them.
create or replace function _limit_checks(metric metrics, series series, at timestamptz, now timestamptz, trailing_until timestamptz default null)
returns limit_check[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return _raise_limits(_limit_checks.metric, _limit_checks.series, array(
        with holds as materialized (
            select r.at, r.held
            from reservations r
            where r.metric = (_limit_checks.metric).key and r.subject = (_limit_checks.series).subject and r.state = 'held'
              and r.expires_at > _limit_checks.now
        )
        select (e.limit_id, e.name, e.period, e.action, e.quota, e.since, w.until, e.until is null and e.period <> 'never',
                u.used, h.held,
                greatest(e.quota - u.used - h.held, 0), greatest(u.used + h.held - e.quota, 0), e.marks, e.every)::limit_check
        from _effective_limits(_limit_checks.metric, (_limit_checks.series).subject, _limit_checks.at, _limit_checks.now) e
        cross join lateral (select coalesce(e.until, case when e.period <> 'never' then _limit_checks.trailing_until end) as until) w
        cross join lateral (select _limit_used(_limit_checks.metric, _limit_checks.series, e.since, w.until) as used offset 0) u
        cross join lateral (
            select coalesce(sum(r.held), 0) as held from holds r where r.at >= e.since and r.at < coalesce(w.until, 'infinity')) h
        where e.counts and e.quota is not null and _limit_checks.at >= e.since and _limit_checks.at < coalesce(e.until, 'infinity')),
        _limit_checks.at, _limit_checks.now);
end
$$;

comment on function _limit_checks(metrics, series, timestamptz, timestamptz, timestamptz) is
    'The limits with a quota that count for an event of a series at an instant, and what is used and held of each. A reservation holds of the '
    'period in which it was made. What top-ups cover is no overrun, and they add to what remains. trailing_until: where trailing windows end; null: '
    'they are open.';

-- Of a limit that top-ups raise, earlier usage may be beyond what they covered then, and something may remain all the same.
-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _room(remaining numeric, overrun numeric)
returns numeric
language sql
immutable
as $$
    select case when remaining > 0 then remaining else -overrun end
$$;

comment on function _room(numeric, numeric) is 'What remains of a limit; if nothing does, what was used beyond it, as a negative number.';

create or replace function _used_more(checks limit_check[], used numeric, held numeric default 0)
returns limit_check[]
language plpgsql
immutable
set search_path from current
as $$
declare
    v_taken numeric := _used_more.used + _used_more.held;
begin
    for n in 1 .. coalesce(cardinality(checks), 0) loop
        checks[n].used := checks[n].used + _used_more.used;
        checks[n].held := checks[n].held + _used_more.held;
        checks[n].overrun := checks[n].overrun + greatest(v_taken - checks[n].remaining, 0);
        checks[n].remaining := greatest(checks[n].remaining - v_taken, 0);
    end loop;
    return checks;
end
$$;

comment on function _used_more(limit_check[], numeric, numeric) is
    'The limits of an event or a reservation, with so much more used and held of each.';

-- What a decision says: of the limits that block, the one that leaves least; without any, of those that alert; then of the others.
create or replace function _binding_limit(checks limit_check[])
returns limit_check
language sql
stable
set search_path from current
as $$
    select c
    from unnest(checks) c
    order by _action_rank(c.action), _room(c.remaining, c.overrun), c.limit_id
    limit 1
$$;

comment on function _binding_limit(limit_check[]) is 'The limit that binds; null without a limit.';

-- Sum and count add, max and last compare, unique counts a new member. What adds nothing is never refused.
create or replace function _refusing_limit(
    checks limit_check[], metric metrics, series_id integer, quantity numeric, member text, at timestamptz, event_id bigint
)
returns limit_check
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_aggregate text := (_refusing_limit.metric).aggregate;
    v_refusing  limit_check;
begin
    select c.* into v_refusing
    from unnest(checks) c
    where c.action = 'block' and case
        when v_aggregate = 'max' then _refusing_limit.quantity > greatest(c.quota, c.used)
        when v_aggregate = 'last' then _refusing_limit.quantity > c.quota
            and not _has_later_event(_refusing_limit.metric, series_id, _refusing_limit.at, _refusing_limit.event_id, c.until)
        when v_aggregate = 'unique' then c.remaining < 1
            and not _has_member(_refusing_limit.metric, series_id, _refusing_limit.member, c.since, c.until)
        else _refusing_limit.quantity > 0 and _refusing_limit.quantity > c.remaining end
    order by _room(c.remaining, c.overrun), c.limit_id
    limit 1;
    return v_refusing;
end
$$;

comment on function _refusing_limit(limit_check[], metrics, integer, numeric, text, timestamptz, bigint) is
    'The limit that refuses an event: of several, the one that leaves least. Null if none does.';
