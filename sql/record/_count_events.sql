-- What _count_event() does, for a batch, in the same lock order: new series, members, rows of series, and only then the clock is read for
-- recorded_at. Rows of series are found by primary key, whatever the statistics say.
create or replace function _count_events(batch batch_event[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_stripe  smallint := 0;
    v_amounts rollups[];
begin
    if batch = '{}' then
        return;
    elsif exists (select from unnest(batch) e join metrics m on m.key = e.metric where m.striped and not m.limited) then
        v_stripe := _session_stripe();
    end if;
    if v_stripe = 0 then
        v_amounts := _lock_batch(batch, v_stripe);
    end if;
    -- maintain() may merge a stripe while its lock is waited for. The block gives up all locks, so that the next attempt takes them in order.
    while v_amounts is null loop
        begin
            v_amounts := _lock_batch(batch, v_stripe);
            if v_amounts is null then
                raise savepoint_exception;
            end if;
        exception when savepoint_exception then
            null;
        end;
    end loop;
    perform _check_none_closed(batch);
    with ids as materialized (
        select n.metric, n.subject, s.series_id, s.recorded_after, m.billers
        from (select distinct metric, subject from unnest(batch)) n
        join metrics m on m.key = n.metric
        cross join lateral (
            select s.series_id, s.recorded_after from series s where s.metric = n.metric and s.subject = n.subject and s.stripe = 0 offset 0
        ) s
    ), logged as (
        insert into events (event_id, at, recorded_at, series_id, quantity, member, idempotency_key, metadata)
        select e.event_id, e.at, greatest(clock_timestamp(), i.recorded_after), i.series_id, e.quantity, e.member, e.idempotency_key, e.metadata
        from unnest(batch) e
        join ids i on i.metric = e.metric and i.subject = e.subject
        order by i.series_id, e.at, e.event_id
    )
    insert into unreported (at, event_id, series_id, biller)
    select e.at, e.event_id, i.series_id, unnest(i.billers)
    from unnest(batch) e
    join ids i on i.metric = e.metric and i.subject = e.subject
    where i.billers is not null;
    perform _add_amounts(v_amounts);
end
$$;

comment on function _count_events(batch_event[]) is
    'Counts the new, valid events of a batch, whose keys are already inserted.';

create or replace function _lock_batch(batch batch_event[], stripe smallint)
returns rollups[]
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_new     record;
    v_ids     integer[];
    v_created integer[];
    v_rows    rollups[];
    v_amounts rollups[];
begin
    -- The rows 0 first: the others have their ids.
    for v_new in
        select n.stripe, array_agg(n.metric) as metrics, array_agg(n.subject) as subjects, array_agg(n.stripe) as stripes, array_agg(n.at) as at
        from (
            select e.metric, e.subject, t.stripe::smallint, max(e.at) as at
            from unnest(batch) e
            join metrics m on m.key = e.metric
            cross join lateral (values (0), (nullif(case when m.striped and not m.limited then _lock_batch.stripe end, 0))) t (stripe)
            where t.stripe is not null
            group by e.metric, e.subject, t.stripe
        ) n
        left join lateral (
            select s.series_id from series s where s.metric = n.metric and s.subject = n.subject and s.stripe = n.stripe offset 0
        ) s on true
        where s.series_id is null
        group by n.stripe
        order by n.stripe
    loop
        v_ids := _create_series(v_new.metrics, v_new.subjects, v_new.stripes, v_new.at);
        if v_new.stripe > 0 then
            v_created := v_ids;
        end if;
    end loop;
    -- Members come after the rows of series, and rebuild() locks their table before these.
    if exists (select from unnest(batch) where member is not null) then
        lock table unique_members in row exclusive mode;
        v_rows := _batch_rows(batch, _lock_batch.stripe);
        if _lock_batch.stripe > 0 and not _lock_stripes(v_rows, v_created) then
            return null;
        elsif _lock_batch.stripe = 0 then
            perform _lock_rows(v_rows);
        end if;
        return case when not _is_erased(batch, v_rows) then array(select a from _batch_amounts(batch, _lock_batch.stripe) a) end;
    end if;
    v_amounts := array(select a from _batch_amounts(batch, _lock_batch.stripe) a);
    if _lock_batch.stripe > 0 and not _lock_stripes(v_amounts, v_created) then
        return null;
    elsif _lock_batch.stripe = 0 then
        perform _lock_rows(v_amounts);
    end if;
    return case when not _is_erased(batch, v_amounts) then v_amounts end;
end
$$;

comment on function _lock_batch(batch_event[], smallint) is
    'What a batch adds to each bucket. The rows of series that it belongs to are created, and locked until the transaction ends. Null if one of '
    'them was deleted meanwhile, or its subject erased.';
