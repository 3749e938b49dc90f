-- From the start of the first cycle to the end of the next one: fees need all of it, usage and minimums only what is in the window.
create or replace function _invoice_segments(scope invoice_scope)
returns setof invoice_segment
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_since timestamptz := (scope.cycles[1]).since;
    v_until timestamptz := (scope.next_cycle).until;
begin
    return query
    with pieces as (
        select b.plan, b.item, b.subscribed_at, b.start as since, b.only,
               lead(b.start, 1, b.ends_at) over (partition by b.plan, b.item, b.subscribed_at order by b.start) as until
        from (
            -- Most lines have one version: it need not be looked up.
            select distinct on (i.plan, v.item, i.subscribed_at, greatest(v.since, i.starts_at))
                   i.plan, v.item, i.subscribed_at, i.ends_at, greatest(v.since, i.starts_at) as start,
                   case when count(*) over (partition by i.plan, v.item, i.subscribed_at) = 1 then v.version end as only
            from _plan_times(scope, v_since, v_until) i
            cross join lateral (
                select p.item, p.since, p as version
                from plan_prices p
                where p.plan = i.plan and p.subject is null and p.since < i.ends_at and p.recorded_at <= scope.known_at
                union all
                select p.item, p.since, p
                from plan_prices p
                where p.plan = i.plan and p.subject = scope.subject and p.since < i.ends_at and p.recorded_at <= scope.known_at
                offset 0
            ) v
        ) b
    ), held as (
        select p.plan, p.item, p.subscribed_at, p.since, p.until, l.h,
               lag(p.until) over w is distinct from p.since or not _same_version(lag(l.h) over w, l.h) as is_new
        from pieces p
        cross join lateral (
            select case when p.only is null then _held_price(p.plan, p.item, scope.subject, p.since, scope.known_at) else p.only end as h offset 0
        ) l
        where (l.h).price is not null
        window w as (partition by p.plan, p.item, p.subscribed_at order by p.since)
    ), numbered as (
        select h.*, count(*) filter (where h.is_new) over (partition by h.plan, h.item, h.subscribed_at order by h.since) as n
        from held h
    )
    select v.plan, v.item, v.subscribed_at, v.since, v.ends_at, (v.h).price_id, (v.h).metric, (v.h).name, (v.h).price, (v.h).currency, (v.h).bill,
           (v.h).prorate, (v.h).tiers_after_change
    from (
        select distinct on (n.plan, n.item, n.subscribed_at, n.n)
               n.*, max(n.until) over (partition by n.plan, n.item, n.subscribed_at, n.n) as ends_at
        from numbered n
        order by n.plan, n.item, n.subscribed_at, n.n, n.since
    ) v
    order by v.plan, v.item, v.since;
end
$$;

comment on function _invoice_segments(invoice_scope) is
    'The times in which one version of a line of a plan holds for the subject, from the start of the first cycle to the end of the next one, '
    'ordered by plan, item and time. Versions that say the same are one.';

create or replace function _subscribed_times(subject text, since timestamptz, until timestamptz, known_at timestamptz)
returns table (plan text, subscribed_at timestamptz, starts_at timestamptz, ends_at timestamptz)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select p.plan, lower(r), greatest(lower(r), _subscribed_times.since), least(upper(r), _subscribed_times.until)
    from (
        select k.plan, range_agg(tstzrange(k.since, k.until)) as times
        from _known_subscriptions(_subscribed_times.subject, _subscribed_times.known_at) k
        group by 1
    ) p
    cross join lateral unnest(p.times) r
    where r && tstzrange(_subscribed_times.since, _subscribed_times.until)
    order by 1, 2;
end
$$;

comment on function _subscribed_times(text, timestamptz, timestamptz, timestamptz) is
    'When a subject has which plans within [since, until), as of a time. Adjacent subscriptions to one plan are one, which began at subscribed_at.';

create or replace function _plan_times(scope invoice_scope, since timestamptz, until timestamptz)
returns table (plan text, subscribed_at timestamptz, starts_at timestamptz, ends_at timestamptz)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    if scope.as_if is null then
        return query select t.* from _subscribed_times(scope.subject, _plan_times.since, _plan_times.until, scope.known_at) t;
    else
        return query select scope.as_if, _plan_times.since, _plan_times.since, _plan_times.until;
    end if;
end
$$;

comment on function _plan_times(invoice_scope, timestamptz, timestamptz) is
    'When a subject has which plans within [since, until), for an invoice: as it is, or as if it had another plan all the time.';
