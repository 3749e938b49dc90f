-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_rehearsal(biller text)
returns boolean
language sql
immutable parallel safe
as $$
    select right(biller, 7) = '_shadow'
$$;

comment on function _is_rehearsal(text) is 'Whether a biller is used for rehearsals: its name ends in _shadow.';

create or replace function _is_monitored(biller billers)
returns boolean
language sql
immutable parallel safe
set search_path from current
as $$
    select not _is_rehearsal((biller).biller) and (biller).first_claimed_at is not null
$$;

comment on function _is_monitored(billers) is
    'Whether health() expects a biller''s usage to be reported: a worker has claimed its pushes, and it is not a rehearsal.';
