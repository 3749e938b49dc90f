-- _roll_up() for the one event of record(), and its answer.
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
    v_key       text := (_roll_up_event.metric).key;
    v_aggregate text := (_roll_up_event.metric).aggregate;
    v_period    text := (_roll_up_event.metric).period;
    v_rollup    text := nullif(nullif((_roll_up_event.metric).rollup, 'none'), v_period);
    v_stripe    smallint := 0;
    v_new_in    text[] := '{}';
    v_recorded  recorded;
begin
    if v_aggregate = 'unique' then
        v_new_in := _count_member(_roll_up_event.metric, _roll_up_event.subject, _roll_up_event.at, _roll_up_event.member);
    end if;
    if (_roll_up_event.metric).striped then
        v_stripe := _stripe(_roll_up_event.subject, v_key);
    end if;
    with merged as (
        insert into rollups as r (subject, metric, bucket, bucket_start, stripe, event_count, last_at, last_event_id,
                                  total, lowest, highest, latest)
        select _roll_up_event.subject, v_key, b.bucket, _bucket_start(b.bucket, _roll_up_event.at), v_stripe, 1, _roll_up_event.at,
               case when v_aggregate = 'last' then _roll_up_event.event_id end,
               case when v_aggregate in ('sum', 'count', 'avg') then _roll_up_event.quantity
                    when v_aggregate = 'unique' then (b.bucket = any (v_new_in))::int end,
               case when v_aggregate = 'min' then _roll_up_event.quantity end,
               case when v_aggregate = 'max' then _roll_up_event.quantity end,
               case when v_aggregate = 'last' then _roll_up_event.quantity end
        from (values (v_period), (v_rollup)) as b (bucket)
        where b.bucket is not null
        order by b.bucket
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
        returning r.*
    )
    select _roll_up_event.event_id, 'recorded',
           _quantity(v_aggregate, m.event_count, m.total, m.lowest, m.highest, m.latest),
           (_roll_up_event.metric).unit, m.bucket_start, nullif(_bucket_end(m.bucket, m.bucket_start), 'infinity')
    into v_recorded
    from merged m
    where m.bucket = v_period;
    if (_roll_up_event.metric).striped then
        v_recorded.quantity := (_usage(_roll_up_event.metric, _roll_up_event.subject,
                                       v_recorded.period_start, v_recorded.period_end)).quantity;
    end if;
    return v_recorded;
end
$$;

comment on function _roll_up_event(metrics, text, bigint, timestamptz, numeric, text) is
    'Adds one new event to the members and rollups of its period and finer bucket; returns what record() does.';
