-- In mode last, the latest value of a subject and period is its usage; earlier values do not count.
create or replace function _push_totals(biller text)
returns setof push_status
language sql
stable
set search_path from current
as $$
    select p.state, count(*), coalesce(sum(p.value) filter (where p.mode <> 'last' or p.push_id = l.push_id), 0), min(p.stamped_at), p.metric
    from pushes p
    left join (
        select subject, metric, bucket_start, max(push_id) as push_id
        from pushes
        where biller = _push_totals.biller and mode = 'last' and state <> 'replaced'
        group by 1, 2, 3
    ) l on p.mode = 'last' and l.subject = p.subject and l.metric = p.metric and l.bucket_start = p.bucket_start
    where p.biller = _push_totals.biller and ((select _all_here()) or _is_here(p.subject))
    group by p.state, p.metric
$$;

comment on function _push_totals(text) is
    'The number of pushes of each metric in each state, and their share of the usage, for report_status().';
