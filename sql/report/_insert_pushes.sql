create or replace function _insert_pushes(biller text, planned planned_push[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_journal report_journals := _lock_journal(_insert_pushes.biller);
begin
    insert into pushes (subject, metric, biller, bucket_start, event_id, mode, identifier, customer, event_name, value, stamped_at, due_at,
                        state, reason, unsure_attempts, unsure_since, planned_at, next_attempt_at, settled_at)
    select p.subject, p.metric, _insert_pushes.biller, p.bucket_start, p.event_id, p.mode,
           _push_identifier(array[
               v_journal.salt::text, p.subject, p.metric, extract(epoch from p.bucket_start)::text, p.event_id::text,
               -- A single event is identified by its id.
               case when p.event_id is null then r.pushes::text end,
               case when p.event_id is null then trim_scale(r.quantity + r.as_events)::text end,
               p.mode, p.customer, p.event_name, p.value, extract(epoch from p.stamped_at)::text]),
           p.customer, p.event_name, p.value::numeric, p.stamped_at, p.due_at,
           s.state, case when s.state <> p.state then 'restored' else p.reason end,
           case when s.state = 'uncertain' then 1 else 0 end,
           case when s.state = 'uncertain' then least(_insert_pushes.now, v_journal.lost_since) end,
           _insert_pushes.now, _insert_pushes.now, case when s.state = 'left' then _insert_pushes.now end
    from unnest(planned) with ordinality p
    cross join lateral (
        select case when v_journal.doubtful_until is null then p.state
            else _initial_state(p.state, p.mode, p.bucket_start, p.stamped_at, v_journal.doubtful_until) end as state
        offset 0
    ) s
    cross join lateral (
        select r.pushes, r.quantity, r.as_events
        from reported r
        where r.subject = p.subject and r.metric = p.metric and r.biller = _insert_pushes.biller and r.bucket_start = p.bucket_start
        offset 0
    ) r
    order by p.ordinality;
end
$$;

comment on function _insert_pushes(text, planned_push[], timestamptz) is
    'Inserts planned pushes into the journal, in order. The caller has already added their values to reported.';

create or replace function _initial_state(
    planned text, mode text, bucket_start timestamptz, stamped_at timestamptz, doubtful_until timestamptz
)
returns text
language sql
immutable parallel safe
set search_path from current
as $$
    select case
        when planned <> 'planned' or mode = 'last' or doubtful_until is null or bucket_start >= doubtful_until then planned
        when mode = 'item' then 'held'
        -- The biller's total for the hour shows whether it was sent.
        when _bucket_start('hour', stamped_at) = _bucket_start('hour', bucket_start) then 'uncertain'
        else 'held'
    end
$$;

comment on function _initial_state(text, text, timestamptz, timestamptz, timestamptz) is
    'The state of a new push. It is the planned one, unless a lost part of the journal may have sent this usage already: then uncertain if '
    'it would be sent under the same hour, and held if under another, or if it is an invoice item. A value in mode last may be sent twice, and '
    'is not affected.';
