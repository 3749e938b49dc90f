-- Inlined: no SET, nothing outside pg_catalog. 255 characters is the limit of report_subject() for a customer.
create or replace function _customer(mapped text, subject text, subject_is_customer boolean)
returns text
language sql
immutable parallel safe
as $$
    select coalesce(mapped, case when subject_is_customer and length(subject) <= 255 then subject end)
$$;

comment on function _customer(text, text, boolean) is
    'The biller''s customer of a subject, given the one it is mapped to; null if it has none. A subject of more than 255 characters is '
    'never its own customer.';
