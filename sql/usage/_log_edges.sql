create or replace function _log_edges(
    series_id integer, cuts window_cut[], out head timestamptz, out head_end timestamptz, out tail timestamptz, out tail_end timestamptz,
    out left_out bigint[], out uncounted bigint[]
)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    select min(since) filter (where since < fine_since), max(fine_since) filter (where since < fine_since),
           min(fine_until) filter (where fine_until < until), max(until) filter (where fine_until < until)
    into head, head_end, tail, tail_end
    from unnest(_log_edges.cuts);
    if head is not null or tail is not null then
        select h.left_out || t.left_out, h.uncounted || t.uncounted into left_out, uncounted
        from _uncounted_rows(_log_edges.series_id, head, head_end) h, _uncounted_rows(_log_edges.series_id, tail, tail_end) t;
    end if;
end
$$;

comment on function _log_edges(integer, window_cut[]) is
    'What windows need of the log: everything between head and head_end and between tail and tail_end, which are null if nothing is needed, and the '
    'rows there that do not count, as _uncounted_rows() returns them.';
