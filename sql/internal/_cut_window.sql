-- A window is cut into at most five pieces, so that its cost does not grow with the number of events in it:
--
--     since      fine_since       coarse_since         coarse_until       fine_until      until
--       |---log------|----fine rollups---|---coarse rollups---|---fine rollups---|----log----|
--
-- Whole coarse buckets come from their rollups, whole fine buckets beside them from theirs, and the two edges, each shorter than a
-- fine bucket, from the log. An empty piece has equal ends.
create or replace function _cut_window(metric metrics, since timestamptz, until timestamptz)
returns window_cut
language plpgsql
immutable
set search_path from current
as $$
declare
    v_fine   text := _fine_bucket((_cut_window.metric).period, (_cut_window.metric).rollup);
    v_coarse text := _coarse_bucket((_cut_window.metric).period, (_cut_window.metric).rollup);
    v_cut    window_cut;
begin
    -- No event is older than 1970; its first week began in 1969.
    v_cut.since := greatest(_cut_window.since, _bucket_start(v_coarse, '1970-01-01 00:00:00+00'));
    v_cut.until := greatest(coalesce(_cut_window.until, 'infinity'), v_cut.since);
    v_cut.fine_since := _next_bucket_start(v_fine, v_cut.since);
    v_cut.coarse_since := _next_bucket_start(v_coarse, v_cut.since);
    v_cut.coarse_until := case when v_cut.until = 'infinity' then v_cut.until else _bucket_start(v_coarse, v_cut.until) end;
    v_cut.fine_until := case when v_cut.until = 'infinity' then v_cut.until else _bucket_start(v_fine, v_cut.until) end;
    if v_cut.fine_since >= v_cut.fine_until then
        v_cut.fine_since := v_cut.until;
        v_cut.fine_until := v_cut.until;
    end if;
    if v_cut.coarse_since >= v_cut.coarse_until then
        v_cut.coarse_since := v_cut.fine_until;
        v_cut.coarse_until := v_cut.fine_until;
    end if;
    return v_cut;
end
$$;

comment on function _cut_window(metrics, timestamptz, timestamptz) is
    'Cuts the window [since, until), null for an open side, into the pieces that rollups answer and the edges left to the log.';
