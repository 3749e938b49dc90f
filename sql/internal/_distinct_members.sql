create or replace function _distinct_members(metric metrics, subject text, cut window_cut)
returns bigint
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_key    text := (_distinct_members.metric).key;
    v_fine   text := _fine_bucket((_distinct_members.metric).period, (_distinct_members.metric).rollup);
    v_coarse text := _coarse_bucket((_distinct_members.metric).period, (_distinct_members.metric).rollup);
begin
    return (select count(*) from (
        select member_digest
        from unique_members
        where subject = _distinct_members.subject and metric = v_key and bucket = v_coarse
          and bucket_start >= cut.coarse_since and bucket_start < cut.coarse_until
        union
        select member_digest
        from unique_members
        where subject = _distinct_members.subject and metric = v_key and bucket = v_fine
          and bucket_start >= cut.fine_since and bucket_start < cut.coarse_since
        union
        select member_digest
        from unique_members
        where subject = _distinct_members.subject and metric = v_key and bucket = v_fine
          and bucket_start >= cut.coarse_until and bucket_start < cut.fine_until
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
    'How many different members one subject has in the pieces of a window: each counts once, in however many pieces it is.';
