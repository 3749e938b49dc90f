-- After a month is dropped its rollups remain, by the hour or coarser. They hold neither the queued single events nor the part of an hour
-- after since.
create or replace function _retention_blocker(month timestamptz)
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
        join series s on s.series_id = u.series_id and s.stripe = 0
        join report_metrics r on r.biller = u.biller and r.metric = s.metric
        where r.mode = 'event' and r.event_name is not null and not _is_rehearsal(u.biller)
          and _bucket_start('month', u.at) = _retention_blocker.month
    ) then
        return 'some of its events have not been reported';
    end if;
    for v_split in
        select r.biller, r.metric, r.since, r.event_after, _bucket_end(k.kind, _bucket_start(k.kind, r.since)) as until
        from report_metrics r
        join metrics m on m.key = r.metric
        cross join lateral (select m.fine_bucket as fine) f
        cross join lateral (select case when f.fine in ('minute', 'hour') then 'hour' else f.fine end as kind) k
        where r.mode = 'event' and _bucket_start('month', r.since) = _retention_blocker.month
          and r.since > _bucket_start(k.kind, r.since)
    loop
        if exists (
            select from series s
            join events e on e.series_id = s.series_id
            where s.metric = v_split.metric and s.stripe = 0 and e.at >= v_split.since and e.at < v_split.until and e.quantity <> 0
              and e.at < _bucket_end('month', _retention_blocker.month)
              and not exists (
                  select from pushes p
                  where p.subject = s.subject and p.metric = s.metric and p.biller = v_split.biller and p.event_id = e.event_id)
              -- Voided before it was pushed.
              and not exists (
                  select from _unpushed_rows(v_split.biller, s.series_id, s.subject, s.metric, e.at, v_split.event_after) u
                  where u.event_id = e.event_id and u.missing = 0)
        ) then
            return format('reporting of %s to %s begins within one of its hours or rollups, and is not complete',
                quote_literal(left(v_split.metric, 80)), quote_literal(left(v_split.biller, 80)));
        end if;
    end loop;
    return null;
end
$$;

comment on function _retention_blocker(timestamptz) is
    'Why a month''s events are still needed for reporting in mode event; null if its rollups are enough.';
