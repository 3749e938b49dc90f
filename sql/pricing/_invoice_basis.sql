-- All that an invoice is computed from is read here, but the usage. Statements keep it, so that late usage is priced as the period was.
create or replace function _invoice_basis(scope invoice_scope)
returns invoice_basis
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_generic_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_fees     invoice_scope := _fee_scope(scope);
    v_segments invoice_segment[] := array(select s from _invoice_segments(v_fees) s);
    v_billed   billed_fee[] := array(select b from _billed_fees(v_fees) b);
    v_metrics  text[] := array(select m.key from metrics m where m.defined_at <= scope.known_at);
    v_basis    invoice_basis;
begin
    v_basis.scope := scope;
    v_basis.segments := array(select s from _usage_segments(scope, v_segments, v_metrics) s);
    v_basis.fees := array(select l from _fee_lines(v_fees, v_segments, v_billed) l);
    v_basis.minimums := array(select m from _due_minimums(scope, v_segments, v_billed) m);
    v_basis.currencies := _subject_currencies(scope);
    v_basis.by_line := _invoice_rounding(scope) = 'line';
    return v_basis;
end
$$;

comment on function _invoice_basis(invoice_scope) is
    'What an invoice is computed from, but the usage. Raises as invoice() does.';

-- Nothing that was used is hidden: a metric without a price has a segment, too, and so has a time without one.
create or replace function _usage_segments(scope invoice_scope, segments invoice_segment[], metrics text[])
returns setof invoice_segment
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_priced invoice_segment[] := array(
        select (s.plan, s.item, s.subscribed_at, greatest(s.since, scope.since), least(s.until, scope.until), s.price_version, s.metric, s.name,
                s.price, s.currency, s.bill, s.prorate, s.tiers_after_change)::invoice_segment
        from unnest(segments) s
        where s.metric is not null and s.since < scope.until and s.until > scope.since);
begin
    return query select s.* from unnest(v_priced) s order by s.plan, s.item, s.since;
    return query
    select null, null, null::timestamptz, lower(g), upper(g), null::bigint, m.key, null, null::jsonb, null, null, null::boolean, null
    from unnest(metrics) m (key)
    left join (
        select s.metric, range_agg(tstzrange(s.since, s.until)) as times from unnest(v_priced) s group by 1
    ) p on p.metric = m.key
    cross join lateral unnest(tstzmultirange(tstzrange(scope.since, scope.until)) - coalesce(p.times, '{}')) g
    order by m.key collate "C", lower(g);
end
$$;

comment on function _usage_segments(invoice_scope, invoice_segment[], text[]) is
    'The segments of the window whose usage an invoice has: those with a price, by plan, item and time, then what no price covers of '
    'these metrics, by metric and time.';

create or replace function _subject_currencies(scope invoice_scope)
returns text[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return array(
        select distinct p.currency
        from _plan_times(scope, scope.since, scope.until) s
        join plans p on p.plan = s.plan
        where p.currency is not null
          and (exists (select from plan_prices v where v.plan = p.plan and v.recorded_at <= scope.known_at)
               or exists (select from plan_minimums m where m.plan = p.plan and m.recorded_at <= scope.known_at))
        order by 1);
end
$$;

comment on function _subject_currencies(invoice_scope) is 'The currencies of the plans that a subject has in a window, of those with a price.';

-- A statement keeps the setting that it was made with.
create or replace function _invoice_rounding(scope invoice_scope)
returns text
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_by_line boolean;
begin
    if scope.as_of is not null then
        select (t.basis ->> 'by_line')::boolean into v_by_line
        from sealed_subjects w
        join statements t on t.subject_id = w.subject_id and t.until = scope.until
        where w.subject = scope.subject and t.watermark = scope.as_of;
    end if;
    return case v_by_line when true then 'line' when false then 'total' else _setting_value('rounding') end;
end
$$;

comment on function _invoice_rounding(invoice_scope) is
    'The setting rounding: as of the watermark of a statement, what it was then; else what it is now.';
