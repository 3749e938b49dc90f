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
