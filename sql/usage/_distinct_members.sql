-- For hour and day buckets, unique_members has one row per member and month, whose bits mark the hours or days in which the member was
-- seen. So the window without its edges needs one row per member and month. Only the first and the last month need a mask of bits.
create or replace function _distinct_members(metric metrics, subject text, cut window_cut)
returns bigint
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_key   text := (_distinct_members.metric).key;
    v_fine  text := (_distinct_members.metric).fine_bucket;
    v_slot  text := _seen_unit((_distinct_members.metric).period, (_distinct_members.metric).rollup);
    -- [v_since, v_until) is the part of the window that consists of whole hours or days; rows of months answer it.
    v_since timestamptz := case when v_slot = v_fine then cut.fine_since when v_slot is not null then cut.coarse_since else cut.until end;
    v_until timestamptz := case when v_slot = v_fine then cut.fine_until when v_slot is not null then cut.coarse_until else cut.until end;
    v_first timestamptz := _bucket_start('month', v_since);
    v_last  timestamptz := _bucket_start('month', v_until);
    v_first_slots bit varying := _seen_mask(v_slot, v_first, v_since, v_until);
    v_last_slots  bit varying := case when v_last < 'infinity' then _seen_mask(v_slot, v_last, v_since, v_until) end;
    v_every_slot  bit varying := _seen_mask(v_slot, v_first, v_first, 'infinity');
begin
    -- Within one month every member has one row, so no deduplication is needed.
    if cut.since = v_since and v_until = cut.until and v_since < v_until and v_until <= _bucket_end('month', v_first) then
        return (
            select count(*)
            from unique_members
            where subject = _distinct_members.subject and metric = v_key and bucket = 'month' and bucket_start = v_first
              and bit_count(seen & v_first_slots) > 0);
    end if;
    return (select count(*) from (
        select member_digest
        from unique_members
        where subject = _distinct_members.subject and metric = v_key and bucket = 'month'
          and v_since < v_until and bucket_start >= v_first and bucket_start < v_until
          and bit_count(seen & case bucket_start when v_first then v_first_slots when v_last then v_last_slots else v_every_slot end) > 0
        union
        select member_digest
        from unique_members
        where subject = _distinct_members.subject and metric = v_key and bucket = v_fine
          and bucket_start >= cut.fine_since and bucket_start < least(v_since, cut.fine_until)
        union
        select member_digest
        from unique_members
        where subject = _distinct_members.subject and metric = v_key and bucket = v_fine
          and bucket_start >= v_until and bucket_start < cut.fine_until
        union
        select _digest(member)
        from events
        where subject = _distinct_members.subject and metric = v_key and at >= cut.since and at < cut.fine_since
        union
        select _digest(member)
        from events
        where subject = _distinct_members.subject and metric = v_key and at >= cut.fine_until and at < cut.until
    ) members);
end
$$;

comment on function _distinct_members(metrics, text, window_cut) is
    'Returns the number of distinct members of one subject in the pieces of a window. A member that is in several pieces counts once.';
