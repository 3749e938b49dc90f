-- What a correction changes in money. Rows are priced one after the other, so that those of a billing cycle sum to the change of its invoice,
-- whatever the tiers and the minimum of the plan. Nothing is computed for subjects that never had a plan with prices.
create or replace function _with_amounts(effects correction_effect[], steps correction_step[])
returns setof correction_effect
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_priced  text[] := array(select p from _priced_subjects(array(select distinct e.subject from unnest(effects) e)) p);
    v_amounts effect_amount[] := '{}';
    v_one     record;
begin
    for v_one in
        select p.subject, array_agg(p.piece order by p.n) as pieces
        from (
            select e.subject, e.n,
                   (e.n, e.metric, e.since, coalesce(e.until, 'infinity'), e.before, e.after, array_agg(s.step))::effect_piece as piece
            from unnest(effects) with ordinality e (subject, metric, since, until, before, after, delta, closed, reported, limits, amount, currency,
                n)
            join (
                select s as step, s.subject, s.metric, _bucket_start(m.period, s.at) as since
                from unnest(steps) s
                join metrics m on m.key = s.metric
                where s.kind is not null and s.subject = any (v_priced)
            ) s on s.subject = e.subject and s.metric = e.metric and s.since = e.since
            group by e.subject, e.n, e.metric, e.since, e.until, e.before, e.after
        ) p
        group by 1
    loop
        v_amounts := v_amounts || array(select a from _subject_amounts(v_one.subject, v_one.pieces) a);
    end loop;
    return query
    select e.subject, e.metric, e.since, e.until, e.before, e.after, e.delta, e.closed, e.reported, e.limits, a.amount,
           case when a.amount is not null then a.currency end
    from unnest(effects) with ordinality e (subject, metric, since, until, before, after, delta, closed, reported, limits, amount, currency, n)
    left join (
        select a.effect, coalesce(min(a.currency) filter (where a.amount <> 0), min(a.currency)) as currency,
               case when bool_and(a.amount is not null) and count(distinct a.currency) filter (where a.amount <> 0) < 2
                    then sum(a.amount) end as amount
        from unnest(v_amounts) a
        group by 1
    ) a on a.effect = e.n
    order by e.n;
end
$$;

comment on function _with_amounts(correction_effect[], correction_step[]) is
    'The rows of _effects() with their amounts, before the correction is applied. steps: what it writes.';

create or replace function _subject_amounts(subject text, pieces effect_piece[])
returns setof effect_amount
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_at     timestamptz;
    v_window billed_window;
    v_inside effect_piece[];
begin
    loop
        v_at := (select min(s.at) from unnest(pieces) p, unnest(p.steps) s where v_window is null or s.at >= v_window.until);
        exit when v_at is null;
        v_window := _billed_window(_subject_amounts.subject, v_at);
        v_inside := array(
            select (p.effect, p.metric, p.since, p.until, p.before, p.after, s.steps)::effect_piece
            from unnest(pieces) with ordinality p (effect, metric, since, until, before, after, steps, n)
            cross join lateral (select array_agg(s) as steps from unnest(p.steps) s where s.at >= v_window.since and s.at < v_window.until) s
            where s.steps is not null
            order by p.n);
        if v_window.statement_id is null then
            return query select * from _open_amounts(_subject_amounts.subject, v_window, v_inside);
        else
            return query select * from _closed_amounts(_subject_amounts.subject, v_window, v_inside);
        end if;
    end loop;
end
$$;

comment on function _subject_amounts(text, effect_piece[]) is 'What a correction changes in money for one subject, for each window that is billed.';

create or replace function _billed_window(subject text, at timestamptz)
returns billed_window
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_subject integer := (select w.subject_id from sealed_subjects w where w.subject = _billed_window.subject);
    v_cycle   invoice_cycle;
    v_next    statements := (
        select t from statements t where t.subject_id = v_subject and t.until > _billed_window.at order by t.until limit 1);
begin
    if v_next.since <= _billed_window.at then
        return (v_next.since, v_next.until, v_next.statement_id);
    end if;
    v_cycle := _invoice_cycle(_known_cycles(_billed_window.subject, 'infinity'), _billed_window.at);
    return (
        greatest(v_cycle.since, (select max(t.until) from statements t where t.subject_id = v_subject and t.until <= _billed_window.at)),
        least(v_cycle.until, v_next.since), null::bigint);
end
$$;

comment on function _billed_window(text, timestamptz) is 'The time around an instant that is billed as one.';
