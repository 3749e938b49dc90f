-- The log may have lost its oldest months, so members are looked up where _distinct_members() counts them: by their digests, in the same pieces of
-- the window. A whole bucket of the metric's period usually has rows of its own.
create or replace function _has_member(metric metrics, series_id integer, member text, since timestamptz, until timestamptz)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    m        metrics := _has_member.metric;
    v_digest uuid := _digest(_has_member.member);
    v_unit   text := _seen_unit(m.period, m.rollup);
    v_middle text := case when v_unit is null then m.coarse_bucket else 'month' end;
    v_cut    window_cut := (select _cut_window(m, k.since, k.until) from _kept_window(m, _has_member.since, _has_member.until) k);
    -- [v_since, v_until) is the middle.
    v_since  timestamptz := case v_unit when m.fine_bucket then v_cut.fine_since else v_cut.coarse_since end;
    v_until  timestamptz := case v_unit when m.fine_bucket then v_cut.fine_until else v_cut.coarse_until end;
begin
    if m.period = _member_bucket(m.period) and _bucket_start(m.period, _has_member.since) = _has_member.since
        and _bucket_end(m.period, _has_member.since) = coalesce(_has_member.until, 'infinity') then
        return _is_member_between(_has_member.series_id, v_digest, m.period, null, _has_member.since, coalesce(_has_member.until, 'infinity'));
    end if;
    return _is_member_between(_has_member.series_id, v_digest, v_middle, v_unit, v_since, v_until)
        or _is_member_between(_has_member.series_id, v_digest, m.fine_bucket, null, v_cut.fine_since, least(v_since, v_cut.fine_until))
        or _is_member_between(_has_member.series_id, v_digest, m.fine_bucket, null, v_until, v_cut.fine_until)
        or exists (
            select from events e
            where e.series_id = _has_member.series_id and e.member = _has_member.member and e.at >= v_cut.since and e.at < v_cut.fine_since
              and e.event_id <> all ((select l.left_out from _uncounted_rows(_has_member.series_id, v_cut.since, v_cut.fine_since) l)::bigint[]))
        or exists (
            select from events e
            where e.series_id = _has_member.series_id and e.member = _has_member.member and e.at >= v_cut.fine_until and e.at < v_cut.until
              and e.event_id <> all ((select l.left_out from _uncounted_rows(_has_member.series_id, v_cut.fine_until, v_cut.until) l)::bigint[]));
end
$$;

comment on function _has_member(metrics, integer, text, timestamptz, timestamptz) is
    'Whether a series has had an event with that member in [since, until); a null until leaves that side open.';

-- One look-up in each bucket that has members: a range over the buckets would read all of their members.
create or replace function _is_member_between(
    series_id integer, digest uuid, bucket text, unit text, since timestamptz, until timestamptz
)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_start timestamptz := _bucket_start(_is_member_between.bucket, _is_member_between.since);
begin
    while _is_member_between.since < _is_member_between.until and v_start < _is_member_between.until loop
        v_start := (
            select u.bucket_start
            from unique_members u
            where u.series_id = _is_member_between.series_id and u.bucket = _is_member_between.bucket and u.bucket_start >= v_start
            order by u.series_id, u.bucket, u.bucket_start
            limit 1);
        if exists (
            select from unique_members u
            where u.series_id = _is_member_between.series_id and u.bucket = _is_member_between.bucket and u.bucket_start = v_start
              and v_start < _is_member_between.until and u.member_digest = _is_member_between.digest
              and (unit is null or bit_count(u.seen & _seen_mask(unit, v_start, _is_member_between.since, _is_member_between.until)) > 0)
        ) then
            return true;
        end if;
        v_start := _bucket_end(_is_member_between.bucket, v_start);
    end loop;
    return false;
end
$$;

comment on function _is_member_between(integer, uuid, text, text, timestamptz, timestamptz) is
    'Whether unique_members has a member in the buckets of a kind that begin in [since, until); with unit, in the hours or days of [since, until) '
    'that bits of months stand for.';
