-- The key of what has fired is the currency and the period, not the version: an edited budget tells again only what it has cleared.
create or replace function _fire_budget_marks(budget effective_budget, amount numeric, is_projected boolean)
returns budget_round
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_news  budget_round := _no_round();
    v_marks numeric[];
begin
    if _fire_budget_marks.amount is null or (budget).amount is null or (budget).action = 'none' then
        return v_news;
    end if;
    with cleared as (
        delete from fired_budget_marks f
        where f.subject = (budget).subject and f.currency = (budget).currency and f.period = (budget).period
          and f.period_start = (budget).since and f.is_projected = _fire_budget_marks.is_projected
          and _fire_budget_marks.amount * 100 < f.mark * (budget).amount
        returning f.mark
    )
    select array_agg(c.mark order by c.mark desc) into v_marks from cleared c;
    perform _notify('budget.cleared', (budget).subject, null, _budget_data(budget, _fire_budget_marks.amount, m, _fire_budget_marks.is_projected))
    from unnest(v_marks) m;
    v_news.cleared := coalesce(cardinality(v_marks), 0);
    with fired as (
        insert into fired_budget_marks (period_start, is_projected, subject, currency, period, mark)
        select (budget).since, _fire_budget_marks.is_projected, (budget).subject, (budget).currency, (budget).period, m
        from unnest((budget).marks) m
        where _fire_budget_marks.amount * 100 >= m * (budget).amount
        order by m
        on conflict do nothing
        returning mark
    )
    select array_agg(f.mark order by f.mark) into v_marks from fired f;
    perform _notify(case when m < 100 then 'budget.approaching' else 'budget.exceeded' end, (budget).subject, null,
                    _budget_data(budget, _fire_budget_marks.amount, m, _fire_budget_marks.is_projected))
    from unnest(v_marks) m;
    select count(*) filter (where m < 100), count(*) filter (where m >= 100) into v_news.approaching, v_news.exceeded from unnest(v_marks) m;
    return v_news;
end
$$;

comment on function _fire_budget_marks(effective_budget, numeric, boolean) is
    'Writes budget.approaching or budget.exceeded for each mark that an amount has reached and that has not fired in the period, and budget.cleared '
    'for those that it has fallen below. Nothing for an unknown amount, an unlimited budget, or the action none.';

create or replace function _budget_data(budget effective_budget, amount numeric, mark numeric, is_projected boolean)
returns jsonb
language sql
immutable parallel safe
set search_path from current
as $$
    select jsonb_build_object(
        'budget_id', (budget).budget_id, 'source', (budget).source, 'currency', (budget).currency, 'period', (budget).period,
        'since', (budget).since, 'until', (budget).until, 'mark', mark, 'numerator', trim_scale(amount), 'denominator', (budget).amount,
        'action', (budget).action, 'projected', is_projected)
$$;

comment on function _budget_data(effective_budget, numeric, numeric, boolean) is 'The facts of a notification of a budget.';
