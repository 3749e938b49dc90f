-- The same as _roll_up_batch() for the event of record(), with its result.
create or replace function _roll_up_event(
    metric metrics, subject text, event_id bigint, at timestamptz, quantity numeric, member text
)
returns recorded
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_stripe    smallint := 0;
    v_new_in    text[] := '{}';
    v_recorded  recorded;
begin
    if _roll_up_event.metric.aggregate = 'unique' then
        v_new_in := _add_event_member(_roll_up_event.metric, _roll_up_event.subject, _roll_up_event.at, _roll_up_event.member);
    end if;
    if _roll_up_event.metric.striped then
        v_stripe := _pick_stripe(_roll_up_event.subject, _roll_up_event.metric.key);
    end if;
    with merged as (
        insert into rollups as r (subject, metric, bucket, bucket_start, stripe, event_count, last_at, last_event_id,
                                  total, lowest, highest, latest)
        select _roll_up_event.subject, _roll_up_event.metric.key, b.bucket, _bucket_start(b.bucket, _roll_up_event.at), v_stripe,
               1, _roll_up_event.at,
               case when _roll_up_event.metric.aggregate = 'last' then _roll_up_event.event_id end,
               case when _roll_up_event.metric.aggregate in ('sum', 'count', 'avg') then _roll_up_event.quantity
                    when _roll_up_event.metric.aggregate = 'unique' then (b.bucket = any (v_new_in))::int end,
               case when _roll_up_event.metric.aggregate = 'min' then _roll_up_event.quantity end,
               case when _roll_up_event.metric.aggregate = 'max' then _roll_up_event.quantity end,
               case when _roll_up_event.metric.aggregate = 'last' then _roll_up_event.quantity end
        from (values (least(_roll_up_event.metric.period, _roll_up_event.metric.rollup)),
                     (nullif(greatest(_roll_up_event.metric.period, _roll_up_event.metric.rollup),
                             least(_roll_up_event.metric.period, _roll_up_event.metric.rollup)))) as b (bucket)
        where b.bucket <> 'none'
        on conflict (subject, metric, bucket, bucket_start, stripe) do update set
            event_count = r.event_count + excluded.event_count,
            last_at = greatest(r.last_at, excluded.last_at),
            last_event_id = case when (excluded.last_at, excluded.last_event_id) > (r.last_at, r.last_event_id)
                                 then excluded.last_event_id else r.last_event_id end,
            total = r.total + excluded.total,
            lowest = least(r.lowest, excluded.lowest),
            highest = greatest(r.highest, excluded.highest),
            latest = case when (excluded.last_at, excluded.last_event_id) > (r.last_at, r.last_event_id)
                          then excluded.latest else r.latest end
        returning bucket, bucket_start, event_count, total, lowest, highest, latest
    )
    select _roll_up_event.event_id, 'recorded',
           _quantity(_roll_up_event.metric.aggregate, m.event_count, m.total, m.lowest, m.highest, m.latest),
           _roll_up_event.metric.unit, m.bucket_start, nullif(_bucket_end(m.bucket, m.bucket_start), 'infinity')
    into v_recorded
    from merged m
    where m.bucket = _roll_up_event.metric.period;
    if _roll_up_event.metric.may_have_stripes then
        v_recorded.quantity := (_window_usage(_roll_up_event.metric, _roll_up_event.subject,
                                       v_recorded.period_start, v_recorded.period_end)).quantity;
    end if;
    return v_recorded;
end
$$;

comment on function _roll_up_event(metrics, text, bigint, timestamptz, numeric, text) is
    'Adds one new event to the members and rollups of its period and finer bucket; returns the result of record().';

-- Never waits: the first of several concurrent writers takes the bucket's own row (stripe 0), the others write to the stripes of their
-- sessions. Any role can take this advisory lock too; the only effect is that a writer uses another stripe. Functions that wait use _lock()
-- instead.
create or replace function _pick_stripe(subject text, metric text)
returns smallint
language plpgsql
volatile
set search_path from current
as $$
begin
    if pg_try_advisory_xact_lock(hashtextextended(subject, hashtextextended(metric, 0))) then
        return 0;
    end if;
    return 1 + pg_backend_pid() % 16;
end
$$;

comment on function _pick_stripe(text, text) is
    'The stripe to which this transaction writes a striped metric''s rollups of a subject: 0 unless another transaction writes there.';
