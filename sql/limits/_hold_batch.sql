-- In the lock order of the package. A metric without limits cannot get its first one until the transaction ends.
create or replace function _lock_batch_holds(requests hold_request[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_keys text[] := array(select distinct r.metric from unnest(requests) r);
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        perform _pin_metrics(v_keys);
    end if;
    perform from metrics m where m.key = any (v_keys) and not m.limited order by m.key for share;
    perform _lock_limited_rows(array(
        select (r.ordinal, r.subject, r.metric, null, null, null, null, null, null, null, null, null)::batch_event
        from unnest(requests) r));
end
$$;

comment on function _lock_batch_holds(hold_request[]) is
    'Locks what the subjects of these requests hold, as _lock_holds() does for one, until the transaction ends.';

create or replace function _undo_holds(requests hold_request[], owned bigint[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    delete from keys k
    where k.digest in (select r.digest from unnest(requests) r where r.reservation_id = any (owned));
    update series s set unchecked_below = '-infinity', version = s.version + 1
    where s.stripe = 0 and (s.metric, s.subject) in (
        select r.metric, r.subject
        from reservations r
        join metrics m on m.key = r.metric
        where r.reservation_id = any (owned) and m.limited);
    delete from reservations r where r.reservation_id = any (owned);
end
$$;

comment on function _undo_holds(hold_request[], bigint[]) is
    'Removes the reservations and keys that a batch has just made. owned: the ids of its requests that owned their key. The caller has locked their '
    'series.';
