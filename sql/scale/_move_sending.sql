create or replace function _lanes_of(subject text)
returns setof report_lanes
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select l.* from report_lanes l
    where (l.biller, l.customer) in (select c.biller, c.customer from _customers_of(_lanes_of.subject) c)
    order by l.biller, l.customer, l.event_name
    for update of l;
end
$$;

comment on function _lanes_of(text) is 'The lanes of the customers of a subject, locked until the transaction ends.';

-- Without a lane nothing is claimed. What a worker may be sending is waited for; if its lease has ended, it is sent again, as by claim_pushes().
create or replace function _stop_sending(subject text)
returns boolean
language plpgsql
volatile
set search_path from current
set lock_timeout to '300ms'
as $$
#variable_conflict use_column
declare
    v_now   timestamptz := clock_timestamp();
    v_lanes report_lanes[];
begin
    perform from billers b order by b.biller for no key update;
    v_lanes := array(select l from _lanes_of(_stop_sending.subject) l);
    if exists (select from unnest(v_lanes) l where l.leased_until > v_now) then
        return false;
    end if;
    update pushes p set state = 'planned', next_attempt_at = v_now
    where p.subject = _stop_sending.subject and p.state = 'sending';
    delete from report_lanes l using unnest(v_lanes) u
    where l.biller = u.biller and l.customer = u.customer and l.event_name = u.event_name;
    return true;
end
$$;

comment on function _stop_sending(text) is
    'Lets nobody claim pushes of a subject''s customers any more. False, and nothing is changed, while a worker may be sending one. Raises 55P03 if '
    'a lock is not had within 300 milliseconds.';

create or replace function _resume_sending(subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _make_lanes((select jsonb_agg(to_jsonb(c)) from _customers_of(_resume_sending.subject) c));
end
$$;

comment on function _resume_sending(text) is 'Makes the lanes of a subject''s customers anew, after _stop_sending() or at its new home.';

create or replace function _make_lanes(customers jsonb)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_lanes report_lanes[];
begin
    insert into report_lanes (biller, customer, event_name)
    select distinct p.biller, p.customer, p.event_name
    from jsonb_to_recordset(_make_lanes.customers) c (biller text, customer text)
    join pushes p on p.biller = c.biller and p.customer = c.customer and p.state in ('planned', 'sending')
    order by 1, 2, 3
    on conflict do nothing;
    v_lanes := array(
        select l from jsonb_to_recordset(_make_lanes.customers) c (biller text, customer text)
        join report_lanes l on l.biller = c.biller and l.customer = c.customer
        order by l.biller, l.customer, l.event_name for update of l);
    perform _refresh_lanes(v_lanes, clock_timestamp());
end
$$;

comment on function _make_lanes(jsonb) is 'Makes the lanes that pushes of customers need; customers: rows of _customers_of().';

-- The sealed copy is history: nothing in it is to be done any more. Its pushes go on elsewhere, under the same ids and identifiers: a rejected one
-- may be retried there, a delivered one may fail. So all of them are replaced here, which no function changes. If the subject comes back, they
-- are what they have become.
create or replace function _end_sending(subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_tables    text[] := '{unreported,unbilled_statements,reconciliations,report_subjects,announced_subjects}';
    v_table     record;
    v_customers jsonb := (select jsonb_agg(to_jsonb(c)) from _customers_of(_end_sending.subject) c);
begin
    perform from billers b order by b.biller for no key update;
    delete from report_lanes l using _lanes_of(_end_sending.subject) u
    where l.biller = u.biller and l.customer = u.customer and l.event_name = u.event_name;
    update pushes p set
        state = 'replaced', reason = 'moved', replaced_by = p.push_id, settled_at = coalesce(p.settled_at, clock_timestamp())
    where p.subject = _end_sending.subject and (p.state, p.reason) is distinct from ('replaced', 'moved');
    for v_table in
        select t.* from _moved_tables() t join unnest(v_tables) with ordinality o (name, n) on o.name = t.name order by o.n
    loop
        execute format('delete from %I t where %s', v_table.name, _moved_predicate(v_table.predicate, _end_sending.subject));
    end loop;
    -- Another subject may have become the customer's since it was looked for: its pushes need their lanes.
    perform _make_lanes(v_customers);
end
$$;

comment on function _end_sending(text) is 'Ends what the old home of a subject would still report: the new one does.';
