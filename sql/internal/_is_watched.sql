create or replace function _is_watched(biller billers)
returns boolean
language sql
immutable parallel safe
set search_path from current
as $$
    select not _is_rehearsal((biller).biller) and (biller).first_claimed_at is not null
$$;

comment on function _is_watched(billers) is
    'Whether health() expects usage to be reported to a biller: a worker has claimed pushes of it, and it is no rehearsal.';
