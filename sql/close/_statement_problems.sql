create or replace function _chain_problems(sealed sealed_subjects)
returns setof statement_problem
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with chain as materialized (
        select t as header, t.statement_id, t.hash, t.previous_hash, lag(t.hash) over w as expected, row_number() over w as n,
               lead(t.statement_id) over w is null as is_last
        from statements t
        where t.subject_id = (sealed).subject_id
        window w as (order by t.statement_id)
    )
    select c.statement_id, (sealed).subject, p.what, null::integer, null::text, p.stated, p.found
    from chain c
    cross join lateral (
        select 'hash' as what, encode(c.hash, 'hex') as stated, encode(_statement_hash(c.header, (sealed).digest), 'hex') as found
        union all
        select 'chain', encode(c.previous_hash, 'hex'), encode(c.expected, 'hex')
        union all
        select 'chain', encode((sealed).last_hash, 'hex'), encode(c.hash, 'hex') where c.is_last
        union all
        select 'chain', format('%s statements', (sealed).statements), format('%s statements', c.n) where c.is_last
        union all
        select 'subject', encode((sealed).digest, 'hex'), encode(sha256((sealed).salt || convert_to((sealed).subject, 'UTF8')), 'hex')
        where c.is_last and (sealed).salt is not null
        union all
        select 'subject', format('watermark %s', (c.header).watermark), format('watermark %s', (sealed).watermark)
        where (c.header).watermark > (sealed).watermark
    ) p
    where p.stated is distinct from p.found
    union all
    select null, (sealed).subject, 'chain', null, null, format('%s statements', (sealed).statements), '0 statements'
    where (sealed).statements > 0 and not exists (select from chain);
end
$$;

comment on function _chain_problems(sealed_subjects) is 'What does not fit in the chain of a subject''s statements.';

create or replace function _statement_hash(header statements, digest bytea)
returns bytea
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
begin
    return sha256(convert_to(_statement_text(header, digest, array(
        select l from statement_lines l where l.statement_id = (header).statement_id order by l.line)), 'UTF8'));
end
$$;

comment on function _statement_hash(statements, bytea) is 'The hash that a statement should have.';

-- A line is computed from the log alone: a row of it that was tampered with shows, though its buckets be as they were.
create or replace function _log_problems(sealed sealed_subjects)
returns setof statement_problem
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_dropped timestamptz[] := array(select _dropped_months());
begin
    return query
    select t.statement_id, (sealed).subject, 'log', l.line, l.metric, format('%s of %s events', l.quantity, l.event_count),
           format('%s of %s events', u.quantity, u.event_count)
    from statements t
    cross join lateral (
        select l.line, l.metric, l.quantity, l.event_count
        from statement_lines l
        where t.usage is null and l.statement_id = t.statement_id and l.kind = 'usage'
        union all
        select (select min(l.line) from statement_lines l where l.statement_id = t.statement_id and l.kind = 'usage' and l.metric = u.key),
               u.key, (u.value ->> 'quantity')::numeric, (u.value ->> 'event_count')::bigint
        from jsonb_each(case jsonb_typeof(t.usage) when 'object' then t.usage else '{}' end) u
    ) l
    join metrics m on m.key = l.metric
    cross join lateral (
        select * from _logged_statement(m, (sealed).subject, t, t.watermark) where v_dropped = '{}'
        union all
        select * from _known_statement(m, (sealed).subject, t, t.watermark) where v_dropped <> '{}'
        offset 0
    ) u
    where t.subject_id = (sealed).subject_id and not _overlaps_months(v_dropped, t.since, t.until)
      and u.event_count is not null and (u.quantity, u.event_count) is distinct from (l.quantity, l.event_count);
end
$$;

comment on function _log_problems(sealed_subjects) is
    'Where a subject''s statements differ from the log, read as of their watermarks.';

create or replace function _lost_statements()
returns setof statement_problem
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select t.statement_id, null::text, 'subject', null::integer, null::text, format('subject_id %s', t.subject_id), null::text
    from statements t
    where not exists (select from sealed_subjects w where w.subject_id = t.subject_id);
end
$$;

comment on function _lost_statements() is 'Statements of which nobody knows any more whose they are.';
