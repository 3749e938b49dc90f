create or replace function reconcilable_ranges(
    biller text default 'stripe',
    step text default 'day',
    max_rows integer default 100,
    since timestamptz default null,
    until timestamptz default null,
    now timestamptz default now()
)
returns setof reconcilable_range
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_biller billers;
begin
    if _is_open('reconcilable_ranges') then perform _check_caller('reconcilable_ranges'); end if;
    perform _check_name('biller', reconcilable_ranges.biller, 100), _check_word('step', reconcilable_ranges.step, '{hour,day}'),
        _check_max_rows(reconcilable_ranges.max_rows), _check_time('since', reconcilable_ranges.since),
        _check_time('until', reconcilable_ranges.until), _check_time('now', reconcilable_ranges.now, required => true);
    select * into v_biller from billers b where b.biller = reconcilable_ranges.biller;
    return query
        select g.customer, g.event_name, g.range_start, _bucket_end(reconcilable_ranges.step, g.range_start), reconcilable_ranges.step,
               g.local, w.cause
        from (
            select p.customer, p.event_name, _bucket_start(reconcilable_ranges.step, p.stamped_at) as range_start, min(p.due_at) as due_at,
                   coalesce(sum(p.value) filter (where p.state in ('delivered', 'resolved')), 0) as local,
                   bool_or(p.state = 'uncertain') as uncertain, max(p.settled_at) as settled_at
            from pushes p
            where p.biller = reconcilable_ranges.biller and p.mode <> 'last' and (p.attempts > 0 or p.state in ('uncertain', 'resolved'))
              and p.stamped_at >= coalesce(reconcilable_ranges.since, _shift(reconcilable_ranges.now, - v_biller.max_age))
              and p.stamped_at < coalesce(reconcilable_ranges.until, reconcilable_ranges.now)
              and ((select _all_here()) or _is_here(p.subject))
            group by 1, 2, 3
        ) g
        left join reconciliations r
            on r.biller = reconcilable_ranges.biller and r.customer = g.customer and r.event_name = g.event_name
            and r.step = reconcilable_ranges.step and r.range_start = g.range_start
        cross join lateral (
            select case
                when exists (
                    select from reconciliations f
                    where f.biller = reconcilable_ranges.biller and f.customer = g.customer and f.event_name = g.event_name and f.recheck
                      and f.range_start >= g.range_start and f.range_start < _bucket_end(reconcilable_ranges.step, g.range_start)
                ) then 'recheck'
                when g.uncertain then 'uncertain'
                when (r.checked_at is null or r.checked_at < g.settled_at or r.difference <> 0)
                    and g.due_at <= _shift(reconcilable_ranges.now, interval '1 day') then 'due'
                else 'routine'
            end as cause
        ) w
        where _bucket_end(reconcilable_ranges.step, g.range_start) <= reconcilable_ranges.now
        order by array_position(array['recheck', 'uncertain', 'due', 'routine'], w.cause),
                 case when w.cause <> 'routine' then g.due_at end, r.checked_at nulls first, g.range_start, g.customer, g.event_name
        limit reconcilable_ranges.max_rows;
end
$$;

comment on function reconcilable_ranges(text, text, integer, timestamptz, timestamptz, timestamptz) is
    'The past hours or days (UTC) in which pushes were sent, to be compared with the biller''s totals. cause, in this order: recheck '
    '(marked for comparison), uncertain, due (not compared since its last change, or different, and due within a day), routine (the others, '
    'the longest since their last comparison first). Values of mode last are not sums and are left out. Raises 22004 or 22023 for a bad '
    'value. Example: SELECT customer, range_start, range_end, local, cause FROM meter.reconcilable_ranges(now => ''2026-06-19 16:30+00'');';
