create or replace function _check_retriable(biller billers, push pushes, now timestamptz)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_customer text;
    v_reason   text;
begin
    if exists (select from _retriable(_check_retriable.biller, (push).identifier, _check_retriable.now)) then
        return;
    end if;
    select _customer(max(s.customer), (push).subject, (_check_retriable.biller).subject_is_customer) into v_customer
    from report_subjects s where s.subject = (push).subject and s.biller = (push).biller;
    v_reason := case
        when v_customer is null then 'its subject has no customer'
        when not exists (
            select from report_metrics r
            where r.biller = (push).biller and r.metric = (push).metric and r.event_name is not null) then 'its metric has no event name'
        when _digits((push).value) > (_check_retriable.biller).max_digits then 'its value has too many digits'
        when (push).stamped_at < _shift(_check_retriable.now, - (_check_retriable.biller).max_age) then
            'it is too old, and a value of mode last cannot get the present time'
        else 'another value is in its place'
    end;
    raise exception using
        errcode = '22023', message = 'the push cannot be sent as things are', column = 'identifier',
        detail = format('%s: %s.', (push).identifier, v_reason),
        hint = 'Map its subject or metric, or raise the biller''s max_digits, and retry; or decide with leave_pushes() that it is not sent.';
end
$$;

comment on function _check_retriable(billers, pushes, timestamptz) is
    'Refuses (22023) a rejected or held push that retry_pushes() could not send anew, and says why.';
