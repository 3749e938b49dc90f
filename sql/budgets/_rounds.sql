-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _no_round()
returns budget_round
language sql
immutable parallel safe
as $$
    select row(null, 0, 0, 0, 0, 0, 0, 0, 0, 0)
$$;

comment on function _no_round() is 'Counts of a judgement of nobody.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _sum_rounds(a budget_round, b budget_round)
returns budget_round
language sql
immutable parallel safe
as $$
    select row(a.judged_at, a.judged + b.judged, a.priced + b.priced, a.approaching + b.approaching, a.exceeded + b.exceeded,
               a.cleared + b.cleared, a.blocked + b.blocked, a.released + b.released, a.failed + b.failed, a.remaining + b.remaining)
$$;

comment on function _sum_rounds(budget_round, budget_round) is 'The sums of the counts of two judgements.';
