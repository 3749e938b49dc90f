-- What is hashed is a text that anybody can make again: JSON with sorted keys and without white space (as RFC 8785), in which numbers are strings.
-- format is its version. The subject is there as a digest, so that erasing the subject leaves every hash as it is.
create or replace function _statement_text(header statements, digest bytea, lines statement_lines[])
returns text
language sql
stable
set search_path from current
as $$
    select format('{"closed_at":%s,"closed_by":%s,"cycle_weight":%s,"format":%s,"lines":[%s],"part_starts":%s,"part_weights":%s,'
            '"previous_hash":%s,"since":%s,"statement_id":%s,"subject_digest":%s,"until":%s,"watermark":%s}',
        _json_time(header.closed_at), to_json(header.closed_by), _json_text(header.cycle_weight::text), to_json(header.format::text),
        (select string_agg(format('{"aggregate":%s,"event_count":%s,"kind":%s,"late_of":%s,"line":%s,"metric":%s,"quantity":%s,"since":%s,'
                    '"unit":%s,"until":%s}',
                to_json(l.aggregate), to_json(l.event_count::text), to_json(l.kind), _json_text(l.late_of::text), to_json(l.line::text),
                to_json(l.metric), to_json(l.quantity::text), _json_time(l.since), to_json(l.unit), _json_time(l.until)), ',' order by l.line)
         from unnest(lines) l),
        case when header.part_starts is null then 'null' else (
            select format('[%s]', string_agg(coalesce(_json_time(p.start), 'null'), ',' order by p.n))
            from unnest(header.part_starts) with ordinality p (start, n)) end,
        case when header.part_weights is null then 'null' else (
            select format('[%s]', string_agg(_json_text(p.weight::text), ',' order by p.n))
            from unnest(header.part_weights) with ordinality p (weight, n)) end,
        _json_text(encode(header.previous_hash, 'hex')), _json_time(header.since), to_json(header.statement_id::text),
        _json_text(encode(digest, 'hex')), _json_time(header.until), _json_time(header.watermark))
$$;

comment on function _statement_text(statements, bytea, statement_lines[]) is 'The text of a statement whose SHA-256 is its hash.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _json_text(value text)
returns text
language sql
immutable parallel safe
as $$
    select coalesce(to_json(value)::text, 'null')
$$;

comment on function _json_text(text) is 'A text as JSON; null for null.';

create or replace function _json_time(value timestamptz)
returns text
language sql
stable parallel safe
as $$
    select to_char(value at time zone interval '0', '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""')
$$;

comment on function _json_time(timestamptz) is 'A time as JSON, in UTC with six digits.';

create or replace function _hashed(headers statements[], sealed sealed_subjects[], lines statement_lines[])
returns setof statements
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select h.statement_id, h.since, h.until, h.closed_at, h.watermark, h.subject_id, h.format, h.closed_by, h.part_starts, h.part_weights,
           h.cycle_weight, h.previous_hash, sha256(convert_to(_statement_text(h, w.digest, l.lines), 'UTF8'))
    from unnest(headers) h
    join unnest(sealed) w on w.subject_id = h.subject_id
    left join (select l.statement_id, array_agg(l) as lines from unnest(lines) l group by 1) l on l.statement_id = h.statement_id;
end
$$;

comment on function _hashed(statements[], sealed_subjects[], statement_lines[]) is 'New statements with their hashes.';

create or replace function _headers(ids bigint[])
returns setof statement_header
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select t.statement_id, s.subject, t.since, t.until, t.closed_at, t.watermark, encode(t.previous_hash, 'hex'), encode(t.hash, 'hex'),
           (select count(*) from statement_lines l where l.statement_id = t.statement_id), t.closed_by
    from unnest(ids) with ordinality i (id, n)
    join statements t on t.statement_id = i.id
    join sealed_subjects s on s.subject_id = t.subject_id
    order by i.n;
end
$$;

comment on function _headers(bigint[]) is 'Statements by their ids, in the given order, as statements() returns them.';
