-- Usually there is one.
create or replace function _raised_words(metric metrics, subject text)
returns text[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
begin
    return array(
        select q.period
        from (
            select l.period from limits l
            where l.metric = (_raised_words.metric).key and l.subject = _raised_words.subject and l.name = 'default' and l.quota is not null
            union
            select l.period from limits l
            where l.metric = (_raised_words.metric).key and l.subject is null and l.name = 'default' and l.quota is not null
        ) q
        cross join lateral (select _raised_rank((_raised_words.metric).period, q.period) as rank) r
        where r.rank is not null
        order by r.rank);
end
$$;

comment on function _raised_words(metrics, text) is
    'The periods that limits named default of a subject have or had; top-ups raise the first one that counts.';

-- What counts changes only where a version or a subscription begins or ends, and from the period on that contains the change.
create or replace function _raised_times(metric metrics, subject text, period text, now timestamptz)
returns tstzmultirange
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select coalesce(range_agg(tstzrange(c.since, c.until)) filter (where c.quota is not null), '{}')
        from (
            select w.since, lead(w.since) over (order by t.at) as until,
                   (_raised_version((_raised_times.metric).key, _raised_times.subject, _raised_times.period, t.at)).quota
            from (
                select l.since as at from limits l
                where l.metric = (_raised_times.metric).key and l.subject = _raised_times.subject and l.name = 'default'
                  and l.period = _raised_times.period
                union
                select l.since from limits l
                where l.metric = (_raised_times.metric).key and l.subject is null and l.name = 'default' and l.period = _raised_times.period
                union
                select b.at from subscriptions s, unnest(array[s.since, s.until]) b (at) where s.subject = _raised_times.subject
            ) t
            cross join lateral _limit_window(_raised_times.metric, _raised_times.period, _raised_times.subject, t.at, _raised_times.now) w
            where t.at <= _raised_times.now
        ) c);
end
$$;

comment on function _raised_times(metrics, text, text, timestamptz) is
    'When a limit named default of a period counts for a subject and has a quota.';
