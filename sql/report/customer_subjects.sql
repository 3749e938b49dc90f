-- Across shards, a customer of a biller has to be on one of them: what is planned, settled and reconciled is summed by customer.
create or replace function customer_subjects(customer text, biller text default 'stripe')
returns setof report_subjects
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if _is_open('customer_subjects') then perform _check_caller('customer_subjects'); end if;
    perform _check_name('customer', customer_subjects.customer, 255), _check_name('biller', customer_subjects.biller, 100);
    return query
        select s.*
        from (
            select r.subject, r.biller, r.customer
            from report_subjects r
            where r.biller = customer_subjects.biller and r.customer = customer_subjects.customer
            union all
            select customer_subjects.customer, b.biller, customer_subjects.customer
            from billers b
            where b.biller = customer_subjects.biller and b.subject_is_customer
              and exists (select from _subject_series(customer_subjects.customer, null))
              and not exists (select from report_subjects r where r.subject = customer_subjects.customer and r.biller = b.biller)
        ) s
        where ((select _all_here()) or _is_here(s.subject))
        order by s.subject collate "C";
end
$$;

comment on function customer_subjects(text, text) is
    'Returns the subjects whose usage is reported to a biller as that of this customer: those that report_subject() has mapped to it, and, if the '
    'biller''s customers are called as subjects are, the subject of this name if it has usage. By subject. '
    'Raises 22004 or 22023 for a null, blank or too long name. Example: SELECT subject FROM meter.customer_subjects(''cus_1'');';
