create or replace function _drawn_event_ids()
returns numeric
language sql
stable
set search_path from current
as $$
    select case when e.is_called then (e.last_value - q.seqstart) / q.seqincrement + 1 else 0 end
    from event_ids e
    cross join pg_sequence q
    where q.seqrelid = 'event_ids'::regclass
$$;

comment on function _drawn_event_ids() is 'How many ids the sequence of events has drawn since it was started; set_shard() starts it anew.';
