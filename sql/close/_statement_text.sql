-- What is hashed is a text that anybody can make again: JSON with sorted keys and without white space (as RFC 8785), in which numbers are strings.
-- format is its version. The subject is there as a digest, so that erasing the subject leaves every hash as it is.
create or replace function _statement_text(header statements, digest bytea, lines statement_lines[])
returns text
language sql
stable
set search_path from current
as $$
    select format('{%s"closed_at":%s,"closed_by":%s,"cycle_weight":%s,"format":%s,"lines":[%s],"part_starts":%s,"part_weights":%s,'
            '"previous_hash":%s,"since":%s,"statement_id":%s,"subject_digest":%s,"until":%s,%s"watermark":%s}',
        case when header.format > 1 or header.basis is not null then format('"basis":%s,', _json_text(header.basis::text)) end,
        _json_time(header.closed_at), to_json(header.closed_by), _json_text(header.cycle_weight::text), to_json(header.format::text),
        case when header.format = 1 and not _have_amounts(lines) then _quantity_lines_text(lines) else _lines_text(lines) end,
        case when header.part_starts is null then 'null' else (
            select format('[%s]', string_agg(coalesce(_json_time(p.start), 'null'), ',' order by p.n))
            from unnest(header.part_starts) with ordinality p (start, n)) end,
        case when header.part_weights is null then 'null' else (
            select format('[%s]', string_agg(_json_text(p.weight::text), ',' order by p.n))
            from unnest(header.part_weights) with ordinality p (weight, n)) end,
        _json_text(encode(header.previous_hash, 'hex')), _json_time(header.since), to_json(header.statement_id::text),
        _json_text(encode(digest, 'hex')), _json_time(header.until),
        case when header.format > 1 or header.usage is not null then format('"usage":%s,', _json_text(header.usage::text)) end,
        _json_time(header.watermark))
$$;

comment on function _statement_text(statements, bytea, statement_lines[]) is
    'The text of a statement whose SHA-256 is its hash. Format 1 has quantities; format 2 has amounts, and what they were computed from, as texts.';

create or replace function _have_amounts(lines statement_lines[])
returns boolean
language sql
immutable parallel safe
set search_path from current
as $$
    select exists (
        select from unnest(lines) l
        where num_nonnulls(l.price_version, l.tier, l.plan, l.item, l.name, l.currency, l.unit_amount, l.flat_amount, l.exact_amount, l.amount,
                           l.explanation) > 0)
$$;

comment on function _have_amounts(statement_lines[]) is
    'Whether lines of a statement have anything that format 1 does not have: there, they were tampered with.';

create or replace function _quantity_lines_text(lines statement_lines[])
returns text
language sql
stable
set search_path from current
as $$
    select string_agg(format('{"aggregate":%s,"event_count":%s,"kind":%s,"late_of":%s,"line":%s,"metric":%s,"quantity":%s,"since":%s,"unit":%s,'
            '"until":%s}',
        _json_text(l.aggregate), _json_text(l.event_count::text), to_json(l.kind), _json_text(l.late_of::text), to_json(l.line::text),
        _json_text(l.metric), _json_text(l.quantity::text), _json_time(l.since), _json_text(l.unit), _json_time(l.until)), ',' order by l.line)
    from unnest(lines) l
$$;

comment on function _quantity_lines_text(statement_lines[]) is 'The lines of a statement in format 1.';

create or replace function _lines_text(lines statement_lines[])
returns text
language sql
stable
set search_path from current
as $$
    select string_agg(format('{"aggregate":%s,"amount":%s,"currency":%s,"event_count":%s,"exact_amount":%s,"explanation":%s,"flat_amount":%s,'
            '"item":%s,"kind":%s,"late_of":%s,"line":%s,"metric":%s,"name":%s,"plan":%s,"price_version":%s,"quantity":%s,"since":%s,"tier":%s,'
            '"unit":%s,"unit_amount":%s,"until":%s}',
        _json_text(l.aggregate), _json_text(l.amount::text), _json_text(l.currency), _json_text(l.event_count::text),
        _json_text(l.exact_amount::text), _json_text(l.explanation), _json_text(l.flat_amount::text), _json_text(l.item), to_json(l.kind),
        _json_text(l.late_of::text), to_json(l.line::text), _json_text(l.metric), _json_text(l.name), _json_text(l.plan),
        _json_text(l.price_version::text), _json_text(l.quantity::text), _json_time(l.since), _json_text(l.tier::text), _json_text(l.unit),
        _json_text(l.unit_amount::text), _json_time(l.until)), ',' order by l.line)
    from unnest(lines) l
$$;

comment on function _lines_text(statement_lines[]) is 'The lines of a statement in format 2.';

-- Inlined: no SET, nothing outside pg_catalog, and no more immutable than to_json().
create or replace function _json_text(value text)
returns text
language sql
stable parallel safe
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
           (select count(*) from statement_lines l where l.statement_id = t.statement_id), t.closed_by, _stated_totals(t.statement_id)
    from unnest(ids) with ordinality i (id, n)
    join statements t on t.statement_id = i.id
    join sealed_subjects s on s.subject_id = t.subject_id
    order by i.n;
end
$$;

comment on function _headers(bigint[]) is 'Statements by their ids, in the given order, as statements() returns them.';

create or replace function _stated_totals(id bigint)
returns jsonb
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return _totals(array(select l from statement_lines l where l.statement_id = id and l.kind = 'total'));
end
$$;

comment on function _stated_totals(bigint) is 'The totals of a statement, as _totals() has them.';
