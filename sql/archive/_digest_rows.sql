-- Streams: memory holds the hashes of one chunk. Any program can compute it from the file: sql/archive/README.md.
create or replace function _digest_rows(source text)
returns archive_digest
language plpgsql
stable
set search_path from current
set work_mem to '128MB'
set jit to off
as $$
#variable_conflict use_column
declare
    v_chunk  record;
    v_chain  bytea := '';
    v_result archive_digest;
begin
    v_result.event_count := 0;
    for v_chunk in execute format($sql$
        select c.chunk, count(*) as event_count, string_agg(c.hash, ''::bytea order by c.event_id) as hashes, min(c.event_id) as first_id,
               max(c.event_id) as last_id, max(c.recorded_at) as last_recorded_at
        from (
            select h.*, (row_number() over (order by h.event_id) - 1) / 100000 as chunk
            from (
                select r.event_id, r.recorded_at, sha256(convert_to(_archive_line(r.event_id, r.at, r.recorded_at, r.series_id, r.subject, r.metric,
                           r.quantity, r.member, r.idempotency_key, r.metadata, r.kind, r.corrects, r.correction_id, r.undone_by, r.counts),
                           'UTF8')) as hash
                from (%s) r
                offset 0
            ) h
        ) c
        group by c.chunk
        order by c.chunk
        $sql$, source)
    loop
        v_chain := sha256(v_chain || v_chunk.hashes);
        v_result.event_count := v_result.event_count + v_chunk.event_count;
        v_result.first_id := coalesce(v_result.first_id, v_chunk.first_id);
        v_result.last_id := v_chunk.last_id;
        v_result.last_recorded_at := greatest(v_result.last_recorded_at, v_chunk.last_recorded_at);
    end loop;
    v_result.digest := encode(v_chain, 'hex');
    return v_result;
end
$$;

comment on function _digest_rows(text) is
    'The digest of the rows of a query with the columns of archive_row: the SHA-256 of each row''s line, in the order of event_id; chained over '
    'chunks of 100,000 rows.';

-- Inlined: no SET, nothing outside pg_catalog. Texts have their length in bytes before them, so two rows never have one line.
create or replace function _archive_line(
    event_id bigint, at timestamptz, recorded_at timestamptz, series_id integer, subject text, metric text, quantity numeric, member text,
    idempotency_key text, metadata jsonb, kind text, corrects bigint, correction_id bigint, undone_by bigint, counts smallint
)
returns text
language sql
stable parallel safe
as $$
    select event_id || ',' || (extract(epoch from at) * 1000000)::bigint || ',' || (extract(epoch from recorded_at) * 1000000)::bigint || ','
        || series_id || ',' || coalesce(kind, '') || ',' || coalesce(corrects::text, '') || ',' || coalesce(correction_id::text, '') || ','
        || coalesce(undone_by::text, '') || ',' || coalesce(counts::text, '') || ',' || coalesce(quantity::text, '')
        || ',' || octet_length(subject) || ':' || subject || ',' || octet_length(metric) || ':' || metric
        || ',' || coalesce(octet_length(member) || ':' || member, '-')
        || ',' || coalesce(octet_length(idempotency_key) || ':' || idempotency_key, '-')
        || ',' || coalesce(octet_length(metadata::text) || ':' || metadata::text, '-')
$$;

comment on function _archive_line(
    bigint, timestamptz, timestamptz, integer, text, text, numeric, text, text, jsonb, text, bigint, bigint, bigint, smallint
) is 'A row as the text that its hash is computed of.';
