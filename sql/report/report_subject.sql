-- The planner removes usage without a customer from the queue, so it is queued again here; both hold the planning lock. Usage that is
-- being recorded meanwhile queues itself.
create or replace function report_subject(subject text, customer text, biller text default 'stripe')
returns report_subjects
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_biller  billers;
    v_old     text;
    v_mapping report_subjects := (report_subject.subject, report_subject.biller, report_subject.customer);
begin
    if _is_open('report_subject') then perform _check_caller('report_subject'); end if;
    perform _check_name('subject', report_subject.subject, 512), _check_home(report_subject.subject);
    if report_subject.customer is not null then
        perform _check_name('customer', report_subject.customer, 255);
    end if;
    v_biller := _lock_planning(report_subject.biller);
    select s.customer into v_old
    from report_subjects s where s.subject = report_subject.subject and s.biller = report_subject.biller;
    if v_old is not distinct from report_subject.customer then
        return v_mapping;
    elsif report_subject.customer is null then
        delete from report_subjects s where s.subject = report_subject.subject and s.biller = report_subject.biller;
        return v_mapping;
    end if;
    insert into report_subjects (subject, biller, customer)
    values (report_subject.subject, report_subject.biller, report_subject.customer)
    on conflict (subject, biller) do update set customer = excluded.customer;
    perform _check_single_source(v_biller, null, report_subject.subject);
    if v_old is null then
        perform _queue_unreported(report_subject.biller, null, report_subject.subject), _plan_again(report_subject.biller, report_subject.subject);
    end if;
    return v_mapping;
end
$$;

comment on function report_subject(text, text, text) is
    'Maps a subject to one of the biller''s customers; a null customer ends the mapping. Usage that was never reported is queued; pushes '
    'that are already planned keep their customer. Several subjects of one customer add up, except in mode last. Repeating a call changes '
    'nothing. Raises 22004 or 22023 for a bad name, 22023 if another subject of the customer has values of a metric in mode last in the '
    'same period, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, UM008 for a subject that is on another shard or being moved. Example: '
    'SELECT subject, customer, biller FROM '
    'meter.report_subject(''acct_1'', ''cus_42'');';
