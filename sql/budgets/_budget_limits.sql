-- A spent budget is enforced by ordinary limits, one for each metric: recording knows of nothing else. Their quota is what is used and held when the
-- rows of the series are locked, so no admitted event is beyond it, and nothing more is admitted. A second version ends each of them with the
-- period, so the next one is free without a judgement. Versions that begin later are looked at, too: a judgement ahead of the clock, or a cycle that
-- was another then, may have left some. A quota that moves is that of the same version: what was told of it is not told again.
create or replace function _budget_limit_changes(spending budget_spending, metrics text[], now timestamptz)
returns setof limits
language plpgsql
volatile  -- sees what was committed while locks were waited for
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    s      budget_spending := spending;
    v_name text := _budget_limit_name(s.currency);
    -- Recording knows the true clock only: a judgement ahead of it must not leave until then what it takes back.
    v_at   timestamptz := greatest(least(_budget_limit_changes.now, clock_timestamp()), s.since);
begin
    return query
    with wanted as (
        select m.key, greatest(0, trim_scale(coalesce(u.used, 0) + _held_at(m.key, s.subject, s.since, s.until, clock_timestamp()))) as quota
        from metrics m
        cross join lateral (
            -- What a limit counts is nothing until something is recorded; billed is the value from before.
            select case when m.carry then (_measured_usage(m, s.subject, s.since, s.until, null)).quantity
                        else _limit_used(m, _find_series_row(m, s.subject), s.since, s.until) end as used
            offset 0
        ) u
        where m.key = any (_budget_limit_changes.metrics)
    ), moments as (
        select t.key, b.at
        from (select distinct k from unnest(_budget_limit_changes.metrics || s.blocked) k) t (key)
        cross join lateral (
            select v_at
            union
            select s.until where t.key = any (_budget_limit_changes.metrics)
            union
            select l.since
            from limits l
            where l.metric = t.key and l.subject = s.subject and l.plan is null and l.name = v_name and l.period = s.period
              and l.since > v_at
        ) b (at)
    )
    select case when c.is_moved then (c.held).limit_id else 0 end, c.key, v_name, s.period, s.subject, null::text, c.at,
           coalesce(c.quota, (c.held).quota), 'block', '{}'::numeric[], null::numeric, null::numeric, null::numeric, c.quota is null, now(), false
    from (
        select o.key, o.at, v.held, w.quota,
               w.quota is not null and not (v.held).removed and (v.held).since >= s.since as is_moved
        from moments o
        cross join lateral (
            select _limit_version(o.key, v_name, s.period, s.subject, null, o.at) as held offset 0
        ) v
        left join wanted w on w.key = o.key and o.at < s.until
    ) c
    where case when c.quota is not null then ((c.held).removed, (c.held).quota) is distinct from (false, c.quota)
               when c.at = s.until and c.key = any (_budget_limit_changes.metrics)
                   then ((c.held).removed, (c.held).since) is distinct from (true, c.at)
               else not (c.held).removed end
    order by c.key, c.at;
end
$$;

comment on function _budget_limit_changes(budget_spending, text[], timestamptz) is
    'The versions of limits that are missing for just these metrics to be blocked from now to the end of the period; with a limit_id: the one whose '
    'quota moves.';

-- The lock order of record(), with short waits: what is locked keeps the subject's recorders waiting until the transaction ends. Only the series
-- that are blocked or released are locked, so recording of other metrics is not waited for.
create or replace function _set_budget_limits(spending budget_spending, metrics text[], now timestamptz)
returns boolean
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set lock_timeout to '200ms'
as $$
#variable_conflict use_column
declare
    v_new     text[];
    v_changes limits[];
    v_ids     integer[];
begin
    if not exists (select from _budget_limit_changes(spending, _set_budget_limits.metrics, _set_budget_limits.now)) then
        return false;
    end if;
    v_new := array(select m.key from metrics m where m.key = any (_set_budget_limits.metrics) and not m.limited order by 1);
    perform from metrics m where m.key = any (v_new) order by m.key for no key update;
    perform _metric_limits_changed(k) from unnest(v_new) k;
    perform _enter_limited_subjects(array[(spending).subject]);
    v_ids := array(
        select s.series_id from series s
        where s.metric = any (_set_budget_limits.metrics || (spending).blocked) and s.subject = (spending).subject and s.stripe = 0);
    perform from series s where s.series_id = any (v_ids) and s.stripe = 0 order by s.series_id for no key update;
    v_changes := array(select c from _budget_limit_changes(spending, _set_budget_limits.metrics, _set_budget_limits.now) c);
    update limits l set quota = c.quota from unnest(v_changes) c where c.limit_id > 0 and l.limit_id = c.limit_id;
    insert into limits (metric, name, period, subject, plan, since, quota, action, marks, removed)
    select c.metric, c.name, c.period, c.subject, c.plan, c.since, c.quota, c.action, c.marks, c.removed
    from unnest(v_changes) c
    where c.limit_id = 0;
    perform _mark_series((spending).subject, v_ids);
    return true;
end
$$;

comment on function _set_budget_limits(budget_spending, text[], timestamptz) is
    'Blocks just these metrics for a subject until the end of the period, by limits; returns whether anything had to be changed. Raises 55P03 if '
    'something it locks is in use.';

create or replace function _priced_metrics(subject text, currency text, since timestamptz, until timestamptz)
returns text[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_scope invoice_scope := _invoice_scope(
        _priced_metrics.subject, _priced_metrics.since, _priced_metrics.until, null, _priced_metrics.since, null);
begin
    return array(
        select distinct s.metric
        from _invoice_segments(v_scope) s
        join metrics m on m.key = s.metric
        where s.currency = _priced_metrics.currency and m.aggregate not in ('min', 'avg')
          and s.since < _priced_metrics.until and s.until > _priced_metrics.since
        order by 1);
end
$$;

comment on function _priced_metrics(text, text, timestamptz, timestamptz) is
    'The metrics that a subject has a price for in a currency, in a part of a window at least, and that can be limited.';
