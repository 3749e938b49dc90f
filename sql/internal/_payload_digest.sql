-- What a repeat of a key is compared by. A metric takes a quantity or a member, never both, so one text stands for either.
create or replace function _payload_digest(quantity numeric, member text)
returns bytea
language sql
stable parallel safe
as $$
    select substr(sha256(convert_to(coalesce(member, trim_scale(quantity)::text), 'UTF8')), 1, 8)
$$;

comment on function _payload_digest(numeric, text) is
    'The first 64 bits of the SHA-256 of an event''s payload: its quantity (1 and 1.0 are one) or its member.';
