create or replace function _open_corrections(out number bigint, out oldest_at timestamptz)
returns record
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select count(*), min(o.opened_at)
    from (select c.opened_at from corrections c where c.state = 'open' order by c.correction_id limit 1000) o
$$;

comment on function _open_corrections() is 'How many corrections wait for a decision, at most 1,000, and when the oldest one was opened.';
