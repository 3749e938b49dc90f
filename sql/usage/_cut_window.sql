-- A window is cut into at most five pieces, so that the cost of a query does not grow with the number of events in the window:
--
--     since      fine_since       coarse_since         coarse_until       fine_until      until
--       |---log------|----fine rollups---|---coarse rollups---|---fine rollups---|----log----|
--
-- Whole coarse buckets and, on both sides of them, whole fine buckets are read from rollups, or from series where they are open. The two
-- edges, each shorter than a fine bucket, are read from the log. An empty piece has equal ends.
create or replace function _cut_window(metric metrics, since timestamptz, until timestamptz)
returns window_cut
language plpgsql
immutable
set search_path from current
as $$
declare
    v_fine   text := (_cut_window.metric).fine_bucket;
    v_coarse text := (_cut_window.metric).coarse_bucket;
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
    'Cuts the window [since, until) into the pieces that rollups answer and the edges that are read from the log. A null since or '
    'until leaves that side open.';
