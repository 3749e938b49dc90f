-- Approving a correction. Recorders wait from _write_buckets() on.
create or replace function _apply_entries(correction_id bigint, entries correction_entries[])
returns setof corrected_bucket
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_steps   correction_step[];
    v_buckets corrected_bucket[];
begin
    v_steps := _draw_steps(entries);
    update correction_entries e set outcome = s.outcome, event_id = s.event_id
    from (select s.ordinal, s.outcome, max(s.event_id) filter (where s.kind is not null) as event_id from unnest(v_steps) s group by 1, 2) s
    where e.correction_id = any (array[_apply_entries.correction_id]) and e.ordinal = s.ordinal;
    v_steps := array(select s from unnest(v_steps) s where s.kind is not null);
    if v_steps <> '{}' then
        perform _write_log(_apply_entries.correction_id, v_steps);
        v_buckets := array(select b from _write_buckets(v_steps) b);
        perform _note_corrected(v_steps);
    end if;
    return query select * from unnest(v_buckets);
end
$$;

comment on function _apply_entries(bigint, correction_entries[]) is
    'Applies the entries of a correction; returns the buckets that change. Raises as approve_correction() does.';

-- A key may be taken by a recorder between the plan and here. Then the plan is made anew: the entry is a duplicate, or a conflict.
create or replace function _draw_steps(entries correction_entries[])
returns correction_step[]
language plpgsql
volatile
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_steps  correction_step[];
    v_locked integer[] := _entries_series(entries);
    v_taken  bigint;
begin
    perform _lock_corrections(v_locked);
    loop
        v_steps := array(
            select (s.ordinal, s.outcome, s.kind, s.metric, s.subject, s.series_id,
                    case when s.kind is null then s.event_id else nextval('event_ids') end, s.at, s.quantity, s.member,
                    s.idempotency_key, s.metadata, s.corrects, s.counts, s.digest)::correction_step
            from _plan_entries(entries) s);
        -- A series that was recorded first while the locks were waited for: nothing of it is certain, nor later than a watermark, without its own.
        if exists (select from unnest(v_steps) s where s.series_id is not null and s.series_id <> all (v_locked)) then
            v_locked := _entries_series(entries);
            perform _lock_corrections(v_locked);
            continue;
        end if;
        perform _raise_step_problem(v_steps);
        with taken as (
            insert into keys (event_id, at, digest, quantity, member)
            select s.event_id, s.at, s.digest, s.quantity, s.member
            from unnest(v_steps) s
            where s.kind is not null and s.corrects is null and s.digest is not null
            order by s.digest
            on conflict (digest) do nothing
            returning digest
        )
        select count(*) into v_taken from taken;
        exit when v_taken = (
            select count(*) from unnest(v_steps) s where s.kind is not null and s.corrects is null and s.digest is not null);
        delete from keys k using unnest(v_steps) s where k.digest = s.digest and k.event_id = s.event_id;
    end loop;
    -- Of adjust() only: stage_correction() has created the others. Keys come first in the order of locks.
    if exists (select from unnest(v_steps) s where s.kind is not null and s.series_id is null) then
        perform _create_corrected_series(entries);
        v_steps := array(
            select (s.ordinal, s.outcome, s.kind, s.metric, s.subject, _find_series(s.metric, s.subject), s.event_id, s.at, s.quantity, s.member,
                    s.idempotency_key, s.metadata, s.corrects, s.counts, s.digest)::correction_step
            from unnest(v_steps) s);
        perform _lock_corrections(array(select s.series_id from unnest(v_steps) s));
    end if;
    return v_steps;
end
$$;

comment on function _draw_steps(correction_entries[]) is
    'What entries of a correction are to write, with event ids, and their keys inserted. Other corrections of these series wait until the '
    'transaction ends. Raises the first problem of an entry.';

create or replace function _entries_series(entries correction_entries[])
returns integer[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return array(
        select s.series_id
        from (select distinct e.metric, e.subject from unnest(entries) e) e
        cross join lateral (
            select s.series_id from series s where s.metric = e.metric and s.subject = e.subject and s.stripe = 0 offset 0
        ) s);
end
$$;

comment on function _entries_series(correction_entries[]) is 'The series that entries of a correction concern, as far as they exist.';

-- Few locks, however many series there are: those of one number exclude each other too.
create or replace function _lock_corrections(series_ids integer[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_names  text[] := array(select distinct 'correction ' || i.series_id % 1024 from unnest(series_ids) i (series_id));
    v_locked bigint;
begin
    loop
        perform from locks l where l.name = any (v_names) order by l.name for update;
        get diagnostics v_locked = row_count;
        exit when v_locked = cardinality(v_names);
        -- A restore of the schema without its data has no rows here.
        insert into locks (name) select n from unnest(v_names) n order by 1 on conflict do nothing;
    end loop;
end
$$;

comment on function _lock_corrections(integer[]) is 'Makes other corrections of series wait until the transaction ends. Recording goes on.';
