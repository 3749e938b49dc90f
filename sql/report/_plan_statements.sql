create or replace function _plan_statements(biller billers, max_rows integer, now timestamptz)
returns bigint
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_queued bigint[] := array(
        select q.statement_id from unbilled_statements q
        where q.biller = (_plan_statements.biller).biller and not q.customer_missing
          and ((select _all_here()) or exists (
              select from sealed_subjects w where w.subject_id = q.subject_id and _is_home(w.subject)))
        order by q.statement_id
        limit max_rows);
    v_ids    bigint[];
    v_items  planned_push[];
    v_lanes  report_lanes[];
begin
    if v_queued = '{}' then
        return 0;
    end if;
    v_ids := array(select i from _with_customer(_plan_statements.biller, v_queued) i);
    v_items := array(select i from _candidate_items(_plan_statements.biller, v_ids) i);
    v_lanes := array(
        select distinct ((_plan_statements.biller).biller, i.customer, i.event_name, null, null, null, null)::report_lanes
        from unnest(v_items) i where i.state = 'planned');
    perform _lock_lanes(v_lanes), _insert_items((_plan_statements.biller).biller, v_items, _plan_statements.now);
    delete from unbilled_statements q
    where q.biller = (_plan_statements.biller).biller and not q.customer_missing and q.statement_id = any (v_ids);
    update unbilled_statements q set customer_missing = true
    where q.biller = (_plan_statements.biller).biller and not q.customer_missing and q.statement_id = any (v_queued);
    perform _refresh_lanes(v_lanes, _plan_statements.now);
    return cardinality(v_queued);
end
$$;

comment on function _plan_statements(billers, integer, timestamptz) is
    'Plans a push for each line of queued statements, and returns how many statements were looked at. Those of subjects without a customer wait for '
    'a mapping. The caller holds the planning lock.';

create or replace function _with_customer(biller billers, statement_ids bigint[])
returns setof bigint
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
as $$
#variable_conflict use_column
begin
    return query
    select t.statement_id
    from unnest(statement_ids) i (statement_id)
    cross join lateral (select t.* from statements t where t.statement_id = i.statement_id offset 0) t
    cross join lateral (select w.subject from sealed_subjects w where w.subject_id = t.subject_id offset 0) w
    where _customer((select s.customer from report_subjects s where s.subject = w.subject and s.biller = (_with_customer.biller).biller),
                    w.subject, (_with_customer.biller).subject_is_customer) is not null;
end
$$;

comment on function _with_customer(billers, bigint[]) is 'Those of the statements whose subject has a customer of the biller.';

-- A lost part of the journal may have sent the same period by a statement of other content, under an identifier that nobody knows any more. So
-- items of periods that had ended then wait for a person.
create or replace function _insert_items(biller text, items planned_push[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_journal report_journals := _lock_journal(_insert_items.biller);
begin
    insert into pushes (subject, metric, biller, bucket_start, mode, identifier, customer, event_name, value, stamped_at, state, reason,
                        planned_at, next_attempt_at, statement_id, line, description, since, until)
    select i.subject, i.metric, _insert_items.biller, i.bucket_start, i.mode,
           _push_identifier(array[
               v_journal.salt::text, i.mode, i.statement_id::text, i.line::text, i.customer, i.event_name, i.value, i.description,
               extract(epoch from i.stamped_at)::text, extract(epoch from i.since)::text, extract(epoch from i.until)::text]),
           i.customer, i.event_name, i.value::numeric, i.stamped_at, s.state, case when s.state <> i.state then 'restored' else i.reason end,
           _insert_items.now, _insert_items.now, i.statement_id, i.line, i.description, i.since, i.until
    from unnest(items) with ordinality i
    cross join lateral (
        select _initial_state(i.state, i.mode, i.bucket_start, i.stamped_at, v_journal.doubtful_until) as state offset 0
    ) s
    order by i.ordinality
    on conflict (subject, biller, statement_id, line) where statement_id is not null and replaces is null do nothing;
end
$$;

comment on function _insert_items(text, planned_push[], timestamptz) is
    'Inserts planned invoice items into the journal, in order. A line that has a push gets no other.';
