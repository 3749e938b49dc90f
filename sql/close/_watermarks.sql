-- Everybody takes recorded_at after locking the row of a series, and keeps that lock until the end of the transaction; corrections take it under a
-- lock of their own. So whoever has all of these locks knows that all of the subject's rows with an earlier recorded_at are committed. A series that
-- is not there yet could be made, and recorded to, by a transaction that is not seen: so every metric gets one. These locks come before those of
-- others: sealed_subjects, locks (prices first), and then as stated in sql/record/record.sql. Who draws a watermark gives up long before a deadlock
-- is looked for, so no recorder is ever chosen as its victim.
create or replace function _draw_watermarks(subjects text[], at_least timestamptz default null)
returns setof sealed_subjects
language plpgsql
volatile
set search_path from current
set lock_timeout to '300ms'
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_sealed  sealed_subjects[];
    v_now     timestamptz;
    v_metrics bigint;
begin
    perform _check_homes(subjects), _enroll_subjects(subjects);
    perform from (select u from unnest(subjects) u order by 1) u
    cross join lateral (select from sealed_subjects s where s.subject = u.u offset 0 for update) s;
    perform _keep_prices();
    loop
        v_metrics := (select count(*) from metrics);
        perform _lock_subjects(subjects);
        v_now := _clock_between_metrics(v_metrics);
        exit when v_now is not null;
    end loop;
    with drawn as (
        update sealed_subjects s set watermark = greatest(v_now, at_least, s.watermark + interval '1 microsecond')
        from unnest(subjects) u
        where s.subject = any (array[u])
        returning s.*
    )
    select array_agg(d::sealed_subjects) into v_sealed from drawn d;
    update series s set recorded_after = d.watermark + interval '1 microsecond'
    from unnest(v_sealed) d
    cross join metrics m
    where s.metric = any (array[m.key]) and s.subject = d.subject;
    return query select * from unnest(v_sealed);
end
$$;

comment on function _draw_watermarks(text[], timestamptz) is
    'Draws a watermark for each of different subjects, not before at_least, and locks their series until the transaction ends. Raises 55P03 if the '
    'locks are not had within about 300 milliseconds.';

create or replace function _enroll_subjects(subjects text[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    insert into sealed_subjects (subject, watermark, salt, digest)
    select n.subject, '-infinity', n.salt, sha256(n.salt || convert_to(n.subject, 'UTF8'))
    from (
        select u.subject, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) as salt
        from unnest(subjects) u (subject)
        cross join lateral (select count(*) as known from sealed_subjects s where s.subject = u.subject offset 0) s
        where s.known = 0
        order by u.subject
        offset 0
    ) n
    on conflict (subject) do nothing;
end
$$;

comment on function _enroll_subjects(text[]) is 'Makes the missing rows of sealed_subjects, with a new salt each.';

create or replace function _lock_subjects(subjects text[])
returns integer[]
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_missing record;
    v_ids     integer[];
begin
    select array_agg(p.metric) as metrics, array_agg(p.subject) as subjects into v_missing from _missing_series(subjects) p;
    if v_missing.metrics is not null then
        perform _create_empty_series(v_missing.metrics, v_missing.subjects);
    end if;
    v_ids := array(
        select s.series_id
        from unnest(subjects) u (subject)
        cross join metrics m
        cross join lateral (
            select s.series_id from series s where s.metric = m.key and s.subject = u.subject and s.stripe = 0 offset 0
        ) s
        order by m.limited desc, s.series_id);
    perform _lock_corrections(v_ids), _lock_series_soon(v_ids);
    return v_ids;
end
$$;

comment on function _lock_subjects(text[]) is
    'Makes the missing series of subjects, and locks all of them against recording and correcting until the transaction ends. Returns their ids.';

create or replace function _missing_series(subjects text[])
returns table (metric text, subject text)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select m.key, u.subject
    from unnest(subjects) u (subject)
    cross join metrics m
    left join lateral (
        select s.series_id from series s where s.metric = m.key and s.subject = u.subject and s.stripe = 0 offset 0
    ) s on true
    where s.series_id is null;
end
$$;

comment on function _missing_series(text[]) is 'The metrics of which subjects have no series.';
