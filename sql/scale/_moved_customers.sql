create or replace function _customers_of(subject text)
returns table (biller text, customer text)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select b.biller, c.customer
    from billers b
    left join report_subjects r on r.biller = b.biller and r.subject = _customers_of.subject
    cross join lateral (select _customer(r.customer, _customers_of.subject, b.subject_is_customer)) c (customer)
    where c.customer is not null
    union
    select p.biller, p.customer from pushes p where p.subject = _customers_of.subject;
end
$$;

comment on function _customers_of(text) is 'The customers as which a subject is or was reported, of each biller.';

create or replace function _customers_subjects(subject text, together text[])
returns table (biller text, customer text, other text)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select c.biller, c.customer, o.subject
    from _customers_of(_customers_subjects.subject) c
    cross join lateral (
        select s.subject from customer_subjects(c.customer, c.biller) s
        union
        select p.subject from pushes p where p.biller = c.biller and p.customer = c.customer and _is_here(p.subject)
    ) o
    where o.subject <> all (together)
    order by 1, 2, 3;
end
$$;

comment on function _customers_subjects(text, text[]) is
    'The other subjects of a subject''s customers that are here, without those that are moved together with it.';
