-- The short way of void_event(), in the plain statements that cost least: an event of a metric without members, limits and stripes, named by its
-- key, or by its id and time. Its buckets are there, because it is in them. All else, and every error, is left to the long way.
create or replace function _void_ordinary(subject text, metric text, event_id bigint, idempotency_key text, reason text, at timestamptz)
returns corrected
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_variable
declare
    v_digest    uuid := _key_digest(_void_ordinary.metric, _void_ordinary.subject, _void_ordinary.idempotency_key);
    v_found     record;
    v_row       record;
    v_before    numeric;
    v_corrected corrected;
begin
    if v_digest is not null then
        event_id := null;
        select k.event_id, k.at into event_id, at
        from keys k where k.digest = v_digest and not exists (select from amended_keys a where a.digest = v_digest);
    end if;
    select s.series_id, l.quantity, l.metadata, m.fine_bucket, m.coarse_bucket, m.period, m.billers, m.aggregate, m as metric into v_found
    from series s
    join metrics m on m.key = s.metric
    join events l on l.series_id = s.series_id and l.at = _void_ordinary.at and l.event_id = _void_ordinary.event_id
    where s.metric = _void_ordinary.metric and s.subject = _void_ordinary.subject and s.stripe = 0
      and m.aggregate <> 'unique' and not m.limited and not m.striped
      and not exists (select from settings o where o.name = 'four_eyes');
    if v_found.series_id is null then return null; end if;
    perform from locks l where l.name = 'correction ' || v_found.series_id % 1024 for update;  -- see _lock_corrections()
    if not found then return null; end if;
    update series s set
        version = s.version + 1,
        fine_count = s.fine_count - (at >= s.fine_start and at < s.fine_end)::integer,
        fine_total = case when at >= s.fine_start and at < s.fine_end then s.fine_total - v_found.quantity else s.fine_total end,
        coarse_count = s.coarse_count - (at >= s.coarse_start and at < s.coarse_end)::integer,
        coarse_total = case when at >= s.coarse_start and at < s.coarse_end then s.coarse_total - v_found.quantity else s.coarse_total end
    where s.series_id = v_found.series_id and s.stripe = 0 and not s.has_stripes and s.unchecked_below = 'infinity'
      and not exists (select from event_kinds k where k.event_id = _void_ordinary.event_id)
      and not exists (select from event_kinds k where k.corrects = _void_ordinary.event_id and k.kind = 'void' and k.undone_by is null)
    returning at >= s.fine_start and at < s.fine_end as in_fine, at >= s.coarse_start and at < s.coarse_end as in_coarse,
        s.fine_count, s.fine_total, s.coarse_count, s.coarse_total
    into v_row;
    if v_row.in_fine is null then
        return null;
    end if;
    if not v_row.in_fine and v_found.fine_bucket <> v_found.coarse_bucket then
        update rollups r set event_count = r.event_count - 1, total = r.total - v_found.quantity
        where r.series_id = v_found.series_id and r.bucket = v_found.fine_bucket and r.bucket_start = _bucket_start(v_found.fine_bucket, at)
          and r.stripe = 0
        returning r.event_count, r.total into v_row.fine_count, v_row.fine_total;
    end if;
    if not v_row.in_coarse then
        update rollups r set event_count = r.event_count - 1, total = r.total - v_found.quantity
        where r.series_id = v_found.series_id and r.bucket = v_found.coarse_bucket and r.bucket_start = _bucket_start(v_found.coarse_bucket, at)
          and r.stripe = 0
        returning r.event_count, r.total into v_row.coarse_count, v_row.coarse_total;
    end if;

    v_corrected.correction_id := _write_void(v_found.series_id, subject, metric, event_id, at, idempotency_key, reason, v_found.quantity,
                                             v_found.metadata, v_found.billers);
    v_corrected.event_id := event_id;
    v_corrected.outcome := 'applied';
    if v_found.aggregate in ('min', 'max', 'last') then
        v_before := _period_quantity(v_found.metric, subject, at);
        perform _restore_extremes(v_found.series_id, v_found.metric, at, event_id, v_found.quantity);
        v_corrected.quantity := _period_quantity(v_found.metric, subject, at);
    elsif v_found.period = v_found.coarse_bucket then
        v_before := _quantity(v_found.aggregate, v_row.coarse_count + 1, v_row.coarse_total + v_found.quantity, null, null, null);
        v_corrected.quantity := coalesce(_quantity(v_found.aggregate, v_row.coarse_count, v_row.coarse_total, null, null, null), 0);
    else
        v_before := _quantity(v_found.aggregate, v_row.fine_count + 1, v_row.fine_total + v_found.quantity, null, null, null);
        v_corrected.quantity := coalesce(_quantity(v_found.aggregate, v_row.fine_count, v_row.fine_total, null, null, null), 0);
    end if;
    perform _notify_void(v_found.metric, subject, at, v_corrected, reason, v_before);
    return v_corrected;
end
$$;

comment on function _void_ordinary(text, text, bigint, text, text, timestamptz) is
    'What void_event() does for an ordinary event; null if it is none, and nothing was done.';

create or replace function _write_void(
    series_id integer, subject text, metric text, event_id bigint, at timestamptz, idempotency_key text, reason text, quantity numeric,
    metadata jsonb, billers text[]
)
returns bigint
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_variable
declare
    v_role       text := _session_role();
    v_correction bigint;
    v_void       bigint;
    v_now        timestamptz;
begin
    -- First, so that the clock is read and the id drawn under the lock that _log_barrier() looks for.
    insert into events (event_id, at, recorded_at, series_id, quantity, metadata)
    values (nextval('event_ids'), at, greatest(clock_timestamp(), (
                select s.recorded_after from series s where s.series_id = _write_void.series_id and s.stripe = 0)),
            series_id, - quantity, metadata)
    returning events.event_id, recorded_at into v_void, v_now;
    insert into event_kinds (event_id, at, corrects, correction_id, series_id, counts, kind, recorded_at)
    values (v_void, at, event_id, nextval('correction_ids'), series_id, -1, 'void', v_now)
    returning correction_id into v_correction;
    insert into corrections (correction_id, state, reason, opened_by, decided_by, decided_at)
    values (v_correction, 'approved', reason, v_role, v_role, clock_timestamp());
    insert into correction_entries (correction_id, ordinal, entry, subject, metric, corrects, corrects_at, idempotency_key, outcome, event_id)
    values (v_correction, 1, 'void', subject, metric, event_id, at, idempotency_key, 'applied', v_void);
    if billers is not null then
        insert into unreported (at, event_id, series_id, biller) select at, v_void, series_id, unnest(array_remove(billers, ''));
    end if;
    return v_correction;
end
$$;

comment on function _write_void(integer, text, text, bigint, timestamptz, text, text, numeric, jsonb, text[]) is
    'Writes the void of an event that has no member, and the correction that holds it, whose id it returns.';

create or replace function _notify_void(metric metrics, subject text, at timestamptz, done corrected, reason text, before numeric)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_since timestamptz := _bucket_start(metric.period, at);
begin
    perform _notify_correction('correction.applied', done.correction_id, reason, array[
        (subject, metric.key, v_since, nullif(_bucket_end(metric.period, v_since), 'infinity'), before, done.quantity,
         trim_scale(done.quantity - before), _holds_part_of(subject, v_since, _bucket_end(metric.period, v_since)), false, '{}',
         null, null)::correction_effect]);
end
$$;

comment on function _notify_void(metrics, text, timestamptz, corrected, text, numeric) is
    'Writes the notification of a void of an event. before: the quantity of its period before; no limit is concerned.';
