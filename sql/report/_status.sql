-- Values are not parts of a sum: the latest one of a subject and period is the usage, the earlier ones were its state before.
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
    where p.biller = _push_totals.biller
    group by p.state, p.metric
$$;

comment on function _push_totals(text) is
    'How many pushes of each metric are in each state, and what they add to the usage that report_status() counts.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_rehearsal(biller text)
returns boolean
language sql
immutable parallel safe
as $$
    select right(biller, 7) = '_shadow'
$$;

comment on function _is_rehearsal(text) is 'Whether a biller is one for rehearsals: its name ends in _shadow.';

create or replace function _is_watched(biller billers)
returns boolean
language sql
immutable parallel safe
set search_path from current
as $$
    select not _is_rehearsal((biller).biller) and (biller).first_claimed_at is not null
$$;

comment on function _is_watched(billers) is
    'Whether health() expects usage to be reported to a biller: a worker has claimed pushes of it, and it is no rehearsal.';
