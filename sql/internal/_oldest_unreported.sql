-- To be polled: a bounded look. A biller that nobody reports to yet, or only rehearses with, holds back nobody's usage. The queue is in
-- the order of recording as long as rows are deleted from its front, so the oldest are among the first.
create or replace function _oldest_unreported()
returns timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_billers text[] := array(select b.biller from billers b where _is_watched(b));
begin
    return least(
        (select min(q.at) from (select at, biller from unreported limit 100000) q where q.biller = any (v_billers)),
        (select min(stamped_at) from pushes where state in ('planned', 'sending') and biller = any (v_billers)),
        (select min(stamped_at) from pushes where state in ('uncertain', 'held', 'rejected') and biller = any (v_billers)));
end
$$;

comment on function _oldest_unreported() is
    'The time of the oldest usage that is to be reported to a biller and is not known to be counted there; null if there is none. '
    'Billers of rehearsals, and those that nobody has reported to yet, are left out.';
