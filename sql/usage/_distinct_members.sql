-- For hour and day buckets, unique_members has one row per member and month, whose bits mark the hours or days in which the member was
-- seen. So the middle of the window, its whole hours or days, needs one row per member and month, and only the first and the last month
-- need a mask of bits. Without such buckets, the middle is the whole coarse buckets, each with rows of its own. What is beside the middle has
-- rows of fine buckets, and the two edges are read from the log.
create or replace function _distinct_members(metric metrics, series_id integer, cut window_cut)
returns bigint
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_fine   text := (_distinct_members.metric).fine_bucket;
    v_coarse text := (_distinct_members.metric).coarse_bucket;
    v_unit   text := _seen_unit((_distinct_members.metric).period, (_distinct_members.metric).rollup);
    -- [v_since, v_until) is the middle.
    v_since  timestamptz := case v_unit when v_fine then cut.fine_since else cut.coarse_since end;
    v_until  timestamptz := case v_unit when v_fine then cut.fine_until else cut.coarse_until end;
    v_middle text := case when v_unit is null then v_coarse else 'month' end;
    v_first  timestamptz := _bucket_start(v_middle, v_since);
    v_last   timestamptz := _bucket_start(v_middle, v_until);
    v_first_bits bit varying := _seen_mask(v_unit, v_first, v_since, v_until);
    v_last_bits  bit varying := case when v_last < 'infinity' then _seen_mask(v_unit, v_last, v_since, v_until) end;
    v_left_out   bigint[];
    v_every_bit  bit varying := _seen_mask(v_unit, v_first, v_first, 'infinity');
begin
    -- Within one month every member has one row, so no deduplication is needed.
    if v_unit is not null and cut.since = v_since and v_until = cut.until and v_since < v_until and v_until <= _bucket_end('month', v_first) then
        return (
            select count(*)
            from unique_members
            where series_id = _distinct_members.series_id and bucket = 'month' and bucket_start = v_first
              and bit_count(seen & v_first_bits) > 0);
    end if;
    select h.left_out || t.left_out into v_left_out
    from _uncounted_rows(_distinct_members.series_id, cut.since, cut.fine_since) h,
         _uncounted_rows(_distinct_members.series_id, cut.fine_until, cut.until) t;
    return (select count(*) from (
        select member_digest
        from unique_members
        where series_id = _distinct_members.series_id and bucket = v_middle and v_since < v_until
          and bucket_start >= v_first and bucket_start < v_until
          and (v_unit is null
               or bit_count(seen & case bucket_start when v_first then v_first_bits when v_last then v_last_bits else v_every_bit end) > 0)
        union
        select member_digest
        from unique_members
        where series_id = _distinct_members.series_id and bucket = v_fine
          and bucket_start >= cut.fine_since and bucket_start < least(v_since, cut.fine_until)
        union
        select member_digest
        from unique_members
        where series_id = _distinct_members.series_id and bucket = v_fine
          and bucket_start >= v_until and bucket_start < cut.fine_until
        union
        select _digest(member)
        from events
        where series_id = _distinct_members.series_id and at >= cut.since and at < cut.fine_since and event_id <> all (v_left_out)
        union
        select _digest(member)
        from events
        where series_id = _distinct_members.series_id and at >= cut.fine_until and at < cut.until and event_id <> all (v_left_out)
    ) members);
end
$$;

comment on function _distinct_members(metrics, integer, window_cut) is
    'Returns the number of distinct members of a series in the pieces of a window. A member that is in several pieces counts once.';
