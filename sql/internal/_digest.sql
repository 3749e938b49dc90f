-- SHA-256 cut to 128 bits: no two different texts are known, or can be made, to share it. md5() would refuse to run in FIPS mode.
-- LANGUAGE sql without SET, and no less volatile than convert_to(), so that it is inlined; it names nothing outside pg_catalog.
create or replace function _digest(value text)
returns bytea
language sql
stable parallel safe
as $$
    select substr(sha256(convert_to(value, 'UTF8')), 1, 16)
$$;

comment on function _digest(text) is 'The first 128 bits of a text''s SHA-256.';
