-- An event that a void takes back does not count, nor does the void. A void of a void lets the event count again. Each bucket is read once, by
-- index; NOT IN compares ids by hashing.
create or replace function _counted_with(steps correction_step[], aggregates text[])
returns table (metric text, subject text, series_id integer, bucket_start timestamptz, event_id bigint, at timestamptz, quantity numeric,
               member text)
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_steps correction_step[] := array(
        select s from unnest(steps) s join metrics m on m.key = s.metric where s.kind is not null and m.aggregate = any (aggregates));
    v_again bigint[] := array(
        select k.corrects
        from unnest(v_steps) s
        cross join lateral (select k.corrects from event_kinds k where k.event_id = s.corrects and k.kind = 'void' offset 0) k
        where s.kind = 'void');
    v_out   bigint[];
    v_since timestamptz;
    v_until timestamptz;
begin
    select min(_bucket_start(m.fine_bucket, s.at)), max(_bucket_end(m.fine_bucket, _bucket_start(m.fine_bucket, s.at))) into v_since, v_until
    from unnest(v_steps) s join metrics m on m.key = s.metric;
    v_out := array(
        select u.event_id
        from (select distinct s.series_id from unnest(v_steps) s) i
        cross join lateral _left_out(i.series_id, v_since, v_until) u (event_id)
        where u.event_id not in (select unnest(v_again))
        union all
        select s.event_id from unnest(v_steps) s
        union all
        select s.corrects from unnest(v_steps) s where s.kind = 'void');
    return query
    select f.metric, f.subject, f.series_id, f.bucket_start, e.event_id, e.at, e.quantity, e.member
    from (
        select distinct s.metric, s.subject, s.series_id, m.fine_bucket, _bucket_start(m.fine_bucket, s.at) as bucket_start
        from unnest(v_steps) s join metrics m on m.key = s.metric
    ) f
    cross join lateral (
        select e.event_id, e.at, e.quantity, e.member
        from events e
        where e.series_id = f.series_id and e.at >= f.bucket_start and e.at < _bucket_end(f.fine_bucket, f.bucket_start)
          and e.at >= v_since and e.at < v_until and e.event_id not in (select unnest(v_out))
        offset 0
    ) e
    union all
    select s.metric, s.subject, s.series_id, _bucket_start(m.fine_bucket, s.at), s.event_id, s.at, s.quantity, s.member
    from unnest(v_steps) s join metrics m on m.key = s.metric
    where s.kind = 'usage';
end
$$;

comment on function _counted_with(correction_step[], text[]) is
    'The events that count in the fine buckets of rows that a correction writes, with these rows, whether they are in the log already or not; of '
    'metrics of some aggregates.';
