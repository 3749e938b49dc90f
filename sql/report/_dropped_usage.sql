-- Of a bucket that also covers months that are still there, only the dropped part is wanted: the rollup less the events of the others.
create or replace function _dropped_remainder(
    biller text, subject text, metric text, fine_bucket text, bucket_start timestamptz, dropped timestamptz[]
)
returns table (value numeric, at timestamptz)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_kind  text := case when _dropped_remainder.fine_bucket in ('minute', 'hour') then 'hour' else _dropped_remainder.fine_bucket end;
    v_since timestamptz := _bucket_start(v_kind, _dropped_remainder.bucket_start);
    v_until timestamptz := _bucket_end(v_kind, v_since);
    v_kept  numeric := 0;
begin
    if v_kind in ('week', 'year', 'never') then
        select coalesce(sum(e.quantity), 0) into v_kept
        from events e
        where e.subject = _dropped_remainder.subject and e.metric = _dropped_remainder.metric and e.at >= v_since and e.at < v_until
          and _bucket_start('month', e.at) <> all (_dropped_remainder.dropped);
    end if;
    return query
        select coalesce(sum(r.total), 0) - v_kept - coalesce((
                   select sum(d.quantity + d.as_events) from reported d
                   where d.subject = _dropped_remainder.subject and d.metric = _dropped_remainder.metric
                     and d.biller = _dropped_remainder.biller and d.bucket_start >= v_since and d.bucket_start < v_until
                     and _bucket_start('month', d.bucket_start) = any (_dropped_remainder.dropped)), 0),
               least(max(r.last_at), (
                   select max(_bucket_end('month', m.month)) - interval '1 second' from unnest(_dropped_remainder.dropped) m (month)
                   where m.month < v_until and _bucket_end('month', m.month) > v_since))
        from rollups r
        where r.subject = _dropped_remainder.subject and r.metric = _dropped_remainder.metric
          and r.bucket = _dropped_remainder.fine_bucket and r.bucket_start >= v_since and r.bucket_start < v_until;
end
$$;

comment on function _dropped_remainder(text, text, text, text, timestamptz, timestamptz[]) is
    'What the rollups of a sum or count say was used in a part of the log that was dropped, beyond what was planned of it, and when it '
    'was used last; the part is as _dropped_start() gives it.';

-- Buckets of an hour to a month lie in one month; those of a week, a year or never may
-- lie in several, and begin in one that was not dropped.
create or replace function _dropped_start(fine_bucket text, at timestamptz, dropped timestamptz[])
returns timestamptz
language sql
immutable parallel safe
set search_path from current
as $$
    select case
        when fine_bucket in ('minute', 'hour') then _bucket_start('hour', at)
        when fine_bucket in ('day', 'month') then _bucket_start(fine_bucket, at)
        else (
            select greatest(min(m.month), _bucket_start(fine_bucket, at))
            from unnest(dropped) m (month)
            where m.month < _bucket_end(fine_bucket, _bucket_start(fine_bucket, at))
              and _bucket_end('month', m.month) > _bucket_start(fine_bucket, at))
    end
$$;

comment on function _dropped_start(text, timestamptz, timestamptz[]) is
    'The first instant of what is reported as one where the events were dropped: the hour of an instant, or the part of a coarser '
    'rollup that begins with its first dropped month.';

-- Rollups tell later what a dropped month held, by the hour or coarser. They do not tell single events, which wait for a reporter, nor
-- what part of an hour lies after the time that reporting begins at.
create or replace function _unreported_events(month timestamptz)
returns text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_split record;
begin
    if exists (
        select from unreported u
        join report_metrics r using (biller, metric)
        where r.mode = 'event' and r.event_name is not null and not _is_rehearsal(u.biller)
          and _bucket_start('month', u.at) = _unreported_events.month
    ) then
        return 'events of it are still to be reported';
    end if;
    for v_split in
        select r.biller, r.metric, r.since, _bucket_end(k.kind, _bucket_start(k.kind, r.since)) as until
        from report_metrics r
        join metrics m on m.key = r.metric
        cross join lateral (select _fine_bucket(m.period, m.rollup) as fine) f
        cross join lateral (select case when f.fine in ('minute', 'hour') then 'hour' else f.fine end as kind) k
        where r.mode = 'event' and _bucket_start('month', r.since) = _unreported_events.month
          and r.since > _bucket_start(k.kind, r.since)
    loop
        if exists (
            select from events e
            where e.metric = v_split.metric and e.at >= v_split.since and e.at < v_split.until and e.quantity <> 0
              and e.at < _bucket_end('month', _unreported_events.month)
              and not exists (
                  select from pushes p
                  where p.subject = e.subject and p.metric = e.metric and p.biller = v_split.biller and p.event_id = e.event_id)
        ) then
            return format('reporting of %s to %s begins in the middle of an hour or rollup of it, and is not complete',
                quote_literal(left(v_split.metric, 80)), quote_literal(left(v_split.biller, 80)));
        end if;
    end loop;
    return null;
end
$$;

comment on function _unreported_events(timestamptz) is
    'Why a month''s events must be kept for reporting (mode event); null if its rollups will do for what is not reported yet.';
