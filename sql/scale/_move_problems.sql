-- What the old home has that cannot be moved exactly.
create or replace function _move_problems(subject text, together text[])
returns table (problem text, hint text)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_ids    integer[] := array(select s.series_id from _subject_series(_move_problems.subject, null) s);
    v_months timestamptz[] := array(select _dropped_months());
begin
    if not _has_rows(_move_problems.subject) then
        return query select 'nothing is stored of it', format('Let it begin elsewhere: pymeter shard pin %s SHARD', _move_problems.subject);
        return;
    end if;
    return query
    select 'nothing is stored of the subject', 'Let it lie there before its first use: pymeter shard pin SUBJECT SHARD'
    where not _has_rows(_move_problems.subject)
    union all
    select 'usage of the subject lies in a month that was dropped here', 'Its idempotency keys cannot be told from others. It has to stay here.'
    where exists (select from dropped_rollups d where d.series_id = any (v_ids))
       or exists (
           select from buckets b join metrics m on m.key = b.metric
           where b.series_id = any (v_ids) and b.bucket = m.fine_bucket
             and _overlaps_months(v_months, b.bucket_start, _bucket_end(b.bucket, b.bucket_start)))
    union all
    select 'the subject is the pseudonym of one that was erased', 'Its idempotency keys cannot be told from others. It has to stay here.'
    where exists (select from sealed_subjects w where w.subject = _move_problems.subject and w.salt is null)
       or exists (select from admin_log l where l.action = 'erase_subject' and l.object = _move_problems.subject)
    union all
    select 'a correction of the subject is open', 'Approve or reject it first.'
    where exists (
        select from correction_entries e join corrections c on c.correction_id = e.correction_id
        where e.subject = _move_problems.subject and c.state = 'open')
    union all
    select format('customer %s of %s has other subjects here: %s', quote_literal(left(o.customer, 80)), quote_literal(o.biller),
               string_agg(quote_literal(left(o.other, 80)), ', ' order by o.other)),
           'What is reported is summed by customer, on one shard. Move its subjects together:'
    from _customers_subjects(_move_problems.subject, together) o
    group by o.biller, o.customer
    union all
    select format('the journal of %s may have lost pushes', quote_literal(j.biller)),
           'It was adopted on another server. Wait until the usage of that time is too old to be sent.'
    from report_journals j join billers b on b.biller = j.biller
    where j.doubtful_until > _shift(now(), - b.max_age)
      and exists (select from _customers_of(_move_problems.subject) c where c.biller = j.biller);
end
$$;

comment on function _move_problems(text, text[]) is
    'Why a subject cannot leave this meter together with others (itself among them); no row: it can.';

create or replace function _receive_problems(subject text, facts jsonb)
returns table (problem text, hint text)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_months timestamptz[] := array(select _dropped_months());
begin
    return query
    select 'this shard has dropped a month in which the subject has usage', 'Move it to a shard that has the month.'
    where exists (
        select from jsonb_array_elements_text(_receive_problems.facts -> 'months') m (month) where m.month::timestamptz = any (v_months))
    union all
    select format('customer %s of %s has subjects here', quote_literal(left(c.customer, 80)), quote_literal(c.biller)),
           'What is reported is summed by customer, on one shard. End that mapping first.'
    from jsonb_to_recordset(_receive_problems.facts -> 'customers') c (biller text, customer text)
    where exists (select from customer_subjects(c.customer, c.biller) o where o.subject <> _receive_problems.subject)
    union all
    select format('%s is reported to %s event by event, since another event than here', quote_literal(r.metric), quote_literal(r.biller)),
           'Events between the two would be reported twice. Move the subject to a shard with the same event_after.'
    from jsonb_to_recordset(_receive_problems.facts -> 'events_reported')
        r (biller text, metric text, event_after bigint, newest bigint, oldest bigint)
    left join report_metrics m on m.biller = r.biller and m.metric = r.metric
    where coalesce(m.event_after, 0) <> r.event_after
      and r.oldest <= greatest(coalesce(m.event_after, 0), r.event_after) and r.newest > least(coalesce(m.event_after, 0), r.event_after)
    union all
    select format('role %s does not exist on this server', quote_ident(g.role)), 'Create it first: it may read what the subject has.'
    from jsonb_array_elements_text(_receive_problems.facts -> 'roles') g (role)
    where not exists (select from pg_roles o where o.rolname = g.role);
end
$$;

comment on function _receive_problems(text, jsonb) is 'Why a subject cannot come to this meter; facts: its _move_facts(), of_log. No row: it can.';

create or replace function _move_facts(subject text, of_log boolean)
returns jsonb
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_ids integer[] := array(select s.series_id from _subject_series(_move_facts.subject, null) s);
begin
    return jsonb_build_object(
        'metrics', array(select s.metric_key from _subject_series(_move_facts.subject, null) s order by 1),
        'months', array(
            select m.month
            from (select min(e.at) as first, max(e.at) as last from events e where e.series_id = any (v_ids) and _move_facts.of_log) r
            cross join generate_series(
                date_trunc('month', r.first at time zone interval '0'), r.last at time zone interval '0', interval '1 month') g (start)
            cross join lateral (select g.start at time zone interval '0') m (month)
            where _move_facts.of_log and exists (
                select from events e where e.series_id = any (v_ids) and e.at >= m.month and e.at < _bucket_end('month', m.month))),
        'customers', (select coalesce(jsonb_agg(to_jsonb(c)), '[]') from _customers_of(_move_facts.subject) c),
        'events_reported', (
            select coalesce(jsonb_agg(jsonb_build_object('biller', r.biller, 'metric', r.metric, 'event_after', r.event_after,
                       'newest', e.newest, 'oldest', e.oldest)), '[]')
            from report_metrics r
            join _subject_series(_move_facts.subject, null) s on s.metric_key = r.metric
            cross join lateral (
                select max(e.event_id) as newest, min(e.event_id) as oldest from events e where e.series_id = s.series_id) e
            where r.mode = 'event' and r.event_name is not null and _move_facts.of_log),
        'corrections', (
            select coalesce(jsonb_object_agg(n.correction_id, n.entry_count), '{}')
            from (
                select c.correction_id, coalesce(max(s.entry_count), count(*)) as entry_count
                from unnest(_corrections_of(_move_facts.subject)) c (correction_id)
                join correction_entries e on e.correction_id = c.correction_id
                left join shared_corrections s on s.correction_id = c.correction_id
                group by 1
                having max(s.entry_count) is not null or bool_or(e.subject <> _move_facts.subject)
            ) n),
        'limited', array(select distinct l.metric from limits l where l.subject = _move_facts.subject order by 1),
        'currencies', (
            select coalesce(jsonb_object_agg(p.plan, p.currency), '{}') from plans p
            where p.currency is not null
              and exists (select from plan_prices o where o.plan = p.plan and o.subject = _move_facts.subject)),
        'roles', array(
            select distinct o.rolname::text from access_grants g join pg_roles o on o.oid = g.role
            where g.subject = _move_facts.subject and g.cluster = _cluster() order by 1));
end
$$;

comment on function _move_facts(text, boolean) is
    'What another meter has to know of a subject before it can come: see _receive_problems(). of_log: also what takes a look at all of its events.';
