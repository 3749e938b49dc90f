create or replace function _credits_of(subject text, known_at timestamptz)
returns setof credit
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select c.credit_id, c.subject, c.currency, c.amount, d.drawn, case when v.is_void then 0 else c.amount - d.drawn end, c.priority, c.since,
           c.expires_at, c.source, c.reason, c.idempotency_key, c.statement_id, c.recorded_at, c.recorded_by,
           case when v.is_void then c.voided_at end, case when v.is_void then c.void_reason end
    from credits c
    cross join lateral (select coalesce(c.voided_at <= _credits_of.known_at, false) as is_void offset 0) v
    cross join lateral (
        select coalesce(sum(d.amount), 0) as drawn
        from credit_draws d
        join statements t on t.statement_id = d.statement_id
        where d.credit_id = c.credit_id and t.watermark < _credits_of.known_at
        offset 0
    ) d
    where c.subject = _credits_of.subject and c.recorded_at <= _credits_of.known_at
    order by c.priority, c.expires_at, (c.source = 'promotional') desc, c.since, c.credit_id;
end
$$;

comment on function _credits_of(text, timestamptz) is
    'The credits of a subject, as of a time, in the order in which they are drawn: by priority, the one that expires earlier, promotional before '
    'paid, the earlier since.';

-- Inlined: no SET, nothing outside pg_catalog. A credit pays for a period if it is in force when that ends.
create or replace function _in_force(since timestamptz, expires_at timestamptz, at timestamptz)
returns boolean
language sql
immutable parallel safe
as $$
    select since < at and (expires_at is null or expires_at >= at)
$$;

comment on function _in_force(timestamptz, timestamptz, timestamptz) is 'Whether a credit may pay for a period that ends at an instant.';

create or replace function _credit(credit_id bigint)
returns credit
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select o
        from credits c
        cross join lateral _credits_of(c.subject, 'infinity') o
        where c.credit_id = _credit.credit_id and o.credit_id = c.credit_id);
end
$$;

comment on function _credit(bigint) is 'A credit, with what was drawn of it.';
