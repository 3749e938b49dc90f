-- An event is added to two buckets, each either open, in the row of the series, or not, in rollups. The row changes in any case: its version
-- tells that something of the series has changed. An event of a later fine bucket opens that one first; one that is ahead of the clock's bucket
-- does not: it would make the events of the present late.
create or replace function _count_event(
    definition metrics, subject text, event_id bigint, at timestamptz, quantity numeric, member text, idempotency_key text, metadata jsonb,
    total boolean
)
returns recorded
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_fine       timestamptz := _bucket_start(definition.fine_bucket, _count_event.at);
    v_coarse     timestamptz := _bucket_start(definition.coarse_bucket, _count_event.at);
    v_is_ahead   boolean := v_fine > now();
    v_stripe     smallint := case when definition.striped and not definition.limited then _session_stripe() else 0 end;
    -- What the event adds; null, which changes nothing, where the aggregate does not need it.
    v_in_fine    numeric := case when definition.aggregate in ('sum', 'count', 'avg') then quantity when definition.aggregate = 'unique' then 0 end;
    v_in_coarse  numeric := v_in_fine;
    v_lowest     numeric := case definition.aggregate when 'min' then quantity end;
    v_highest    numeric := case definition.aggregate when 'max' then quantity end;
    v_latest     numeric[] := case definition.aggregate when 'last' then _latest(at, event_id, quantity) end;
    v_series     series;
    v_rollup     rollups;
    v_in_period  rollups;
begin
    if definition.aggregate = 'unique' then
        lock table unique_members in row exclusive mode;  -- before the row of the series, because rebuild() has this order
    end if;
    loop
        update series s set version = s.version + 1,
            fine_count = s.fine_count + (v_fine = s.fine_start)::integer, coarse_count = s.coarse_count + (v_coarse = s.coarse_start)::integer,
            fine_last_at = case when v_fine = s.fine_start then greatest(s.fine_last_at, _count_event.at) else s.fine_last_at end,
            fine_total = case when v_fine = s.fine_start then s.fine_total + v_in_fine else s.fine_total end,
            fine_lowest = case when v_fine = s.fine_start then least(s.fine_lowest, v_lowest) else s.fine_lowest end,
            fine_highest = case when v_fine = s.fine_start then greatest(s.fine_highest, v_highest) else s.fine_highest end,
            fine_latest = case when v_fine = s.fine_start then greatest(s.fine_latest, v_latest) else s.fine_latest end,
            coarse_last_at = case when v_coarse = s.coarse_start then greatest(s.coarse_last_at, _count_event.at) else s.coarse_last_at end,
            coarse_total = case when v_coarse = s.coarse_start then s.coarse_total + v_in_coarse else s.coarse_total end,
            coarse_lowest = case when v_coarse = s.coarse_start then least(s.coarse_lowest, v_lowest) else s.coarse_lowest end,
            coarse_highest = case when v_coarse = s.coarse_start then greatest(s.coarse_highest, v_highest) else s.coarse_highest end,
            coarse_latest = case when v_coarse = s.coarse_start then greatest(s.coarse_latest, v_latest) else s.coarse_latest end
        where s.metric = definition.key and s.subject = _count_event.subject and s.stripe = v_stripe and s.revision = definition.revision
          and (v_fine = s.fine_start or v_fine < s.fine_start and s.coarse_last_at > '-infinity' or v_is_ahead)
        returning * into v_series;
        exit when v_series.series_id is not null;
        if _has_first_limit(definition) then return null; end if;
        perform _open_series(definition, _count_event.subject, v_stripe, _count_event.at);
    end loop;
    if definition.after_close = 'refuse' then perform _check_not_closed(definition.key, _count_event.subject, _count_event.at); end if;
    if definition.aggregate = 'unique' then
        select a.in_fine, a.in_coarse into v_in_fine, v_in_coarse
        from _add_event_member(definition, v_series.series_id, _count_event.at, _count_event.member) a;
        v_series := _add_to_totals(v_series, v_fine, v_coarse, v_in_fine, v_in_coarse);
    end if;
    if v_is_ahead and v_fine <> v_series.fine_start then
        update series s set ahead_at = greatest(s.ahead_at, _count_event.at), newest_start = greatest(s.newest_start, v_fine)
        where s.series_id = v_series.series_id and s.stripe = v_stripe;
    end if;

    insert into events (event_id, at, recorded_at, series_id, quantity, member, idempotency_key, metadata)
    values (_count_event.event_id, _count_event.at, greatest(clock_timestamp(), v_series.recorded_after), v_series.series_id,
            _count_event.quantity, _count_event.member, _count_event.idempotency_key, _count_event.metadata);
    if definition.billers is not null then
        insert into unreported (at, event_id, series_id, biller)
        select _count_event.at, _count_event.event_id, v_series.series_id, unnest(definition.billers);
    end if;
    if v_fine <> v_series.fine_start and definition.fine_bucket <> definition.coarse_bucket then
        v_rollup := _add_to_rollup(v_series.series_id, v_stripe, definition.fine_bucket, v_fine, 1, _count_event.at,
                                   v_in_fine, v_lowest, v_highest, v_latest);
    end if;
    if v_coarse <> v_series.coarse_start then
        v_in_period := _add_to_rollup(v_series.series_id, v_stripe, definition.coarse_bucket, v_coarse, 1, _count_event.at,
                                   v_in_coarse, v_lowest, v_highest, v_latest);
    end if;
    return _period_result(definition, v_series, _count_event.subject, _count_event.event_id, _count_event.at,
                          case definition.period when definition.coarse_bucket then v_in_period else v_rollup end, _count_event.total);
end
$$;

comment on function _count_event(metrics, text, bigint, timestamptz, numeric, text, text, jsonb, boolean) is
    'Counts one new, valid event whose key, if it has one, is already inserted; returns the result of record(). Null if the metric has got its '
    'first limit meanwhile, and the series has been recorded by it: nothing was counted.';

-- The series has been recorded by another version of the metric. If that has limits, the event has to be decided by them.
create or replace function _has_first_limit(definition metrics)
returns boolean
language plpgsql
volatile
set search_path from current
as $$
begin
    return not definition.limited and (select m.limited from metrics m where m.key = definition.key);
end
$$;

comment on function _has_first_limit(metrics) is
    'Whether a metric is limited by now, and was not when its definition was read.';

-- closed: the rollup of the period, as far as it is in this stripe; null if the period is open.
create or replace function _period_result(
    definition metrics, found series, subject text, event_id bigint, at timestamptz, closed rollups, total boolean
)
returns recorded
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_start    timestamptz := _bucket_start(definition.period, _period_result.at);
    v_recorded recorded;
begin
    v_recorded := (_period_result.event_id, 'recorded', case
            when not _period_result.total then null
            when found.has_stripes then
                (_window_usage(definition, _period_result.subject, v_start, _bucket_end(definition.period, v_start))).quantity
            when closed.event_count is not null then
                _quantity(definition.aggregate, closed.event_count, closed.total, closed.lowest, closed.highest, closed.latest[3])
            when definition.period = definition.coarse_bucket then
                _quantity(definition.aggregate, found.coarse_count, found.coarse_total, found.coarse_lowest, found.coarse_highest,
                          found.coarse_latest[3])
            else
                _quantity(definition.aggregate, found.fine_count, found.fine_total, found.fine_lowest, found.fine_highest,
                          found.fine_latest[3])
        end, definition.unit, v_start, nullif(_bucket_end(definition.period, v_start), 'infinity'), null, null);
    return v_recorded;
end
$$;

comment on function _period_result(metrics, series, text, bigint, timestamptz, rollups, boolean) is
    'The result of record() for an event that has been counted.';
