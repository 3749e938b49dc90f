-- The version tells rebuild(), if it read the log before, that something has changed.
create or replace function _rename_series(series_ids integer[], subject text, pseudonym text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    -- Who is announced or judged next, is found by the last subject that was: the one before it will do.
    update announced_periods a set after_subject = (
        select max(s.subject) from series s where s.metric = a.metric and s.subject < _rename_series.subject)
    where a.after_subject = _rename_series.subject;
    update announced_subjects n set subject = _rename_series.pseudonym where n.subject = _rename_series.subject;
    update projection_rounds p set after_subject = (
        select max(s.subject) from series s where s.metric = p.metric and s.subject < _rename_series.subject)
    where p.after_subject = _rename_series.subject;
    update series s set subject = _rename_series.pseudonym, version = s.version + 1
    from unnest(series_ids) i
    where s.series_id = any (array[i]);
    update sealed_subjects s set subject = _rename_series.pseudonym, salt = null where s.subject = _rename_series.subject;
    update late_decisions d set reason = null
    from sealed_subjects s
    join statements t on t.subject_id = s.subject_id
    where s.subject = _rename_series.pseudonym and d.statement_id = any (array[t.statement_id]) and d.reason is not null;
end
$$;

comment on function _rename_series(integer[], text, text) is 'Gives series and statements of a subject to its pseudonym.';

-- What was reported stays reported, under the pseudonym. A customer goes if it is the subject's text.
create or replace function _rename_reported(subject text, pseudonym text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_pushes pushes[] := array(
        select p from pushes p where p.subject = _rename_reported.subject and p.customer = _rename_reported.subject);
begin
    update report_subjects r set
        subject = _rename_reported.pseudonym, customer = case when r.customer = r.subject then _rename_reported.pseudonym else r.customer end
    where r.subject = _rename_reported.subject;
    update reported r set subject = _rename_reported.pseudonym where r.subject = _rename_reported.subject;
    update pushes p set
        subject = _rename_reported.pseudonym, customer = case when p.customer = p.subject then _rename_reported.pseudonym else p.customer end,
        error = case when strpos(p.error, _rename_reported.subject) = 0 then p.error end
    where p.subject = _rename_reported.subject;
    update report_lanes l set customer = _rename_reported.pseudonym
    from (select distinct p.biller, p.event_name from unnest(v_pushes) p) p
    where l.biller = p.biller and l.customer = _rename_reported.subject and l.event_name = p.event_name;
    update reconciliations l set customer = _rename_reported.pseudonym
    from (select distinct p.biller, p.event_name from unnest(v_pushes) p) p
    where l.biller = p.biller and l.customer = _rename_reported.subject and l.event_name = p.event_name;
end
$$;

comment on function _rename_reported(text, text) is 'Gives what was reported of a subject, and its mapping to a customer, to its pseudonym.';

-- Top-ups are told apart by their keys.
create or replace function _erase_limits(subject text, pseudonym text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    update reservations r set subject = _erase_limits.pseudonym, idempotency_key = null, metadata = null where r.subject = _erase_limits.subject;
    update limited_subjects l set subject = _erase_limits.pseudonym where l.subject = _erase_limits.subject;
    update limits l set subject = _erase_limits.pseudonym where l.subject = _erase_limits.subject;
    update subscriptions s set subject = _erase_limits.pseudonym where s.subject = _erase_limits.subject;
    update billing_cycles c set subject = _erase_limits.pseudonym where c.subject = _erase_limits.subject;
    update subscription_history h set subject = _erase_limits.pseudonym where h.subject = _erase_limits.subject;
    update cycle_history h set subject = _erase_limits.pseudonym where h.subject = _erase_limits.subject;
    update plan_prices p set subject = _erase_limits.pseudonym where p.subject = _erase_limits.subject;
    update fired_marks f set subject = _erase_limits.pseudonym where f.subject = _erase_limits.subject;
    update spike_alerts a set subject = _erase_limits.pseudonym where a.subject = _erase_limits.subject;
    update detected_spikes d set subject = _erase_limits.pseudonym where d.subject = _erase_limits.subject;
    update top_ups t set
        subject = _erase_limits.pseudonym, idempotency_key = gen_random_uuid()::text, reason = null, void_reason = null
    where t.subject = _erase_limits.subject;
    update budgets b set subject = _erase_limits.pseudonym where b.subject = _erase_limits.subject;
    update budget_judgements j set subject = _erase_limits.pseudonym, inputs = null, sqlstate = null, message = null
    where j.subject = _erase_limits.subject;
    update budget_spending s set subject = _erase_limits.pseudonym where s.subject = _erase_limits.subject;
    update fired_budget_marks f set subject = _erase_limits.pseudonym where f.subject = _erase_limits.subject;
    -- Its keys are revoked: the customer would learn the pseudonym by them.
    update api_keys k set
        subject = _erase_limits.pseudonym, name = 'key ' || k.key_id, revoked_at = coalesce(k.revoked_at, clock_timestamp())
    where k.subject = _erase_limits.subject;
    update taxes t set subject = _erase_limits.pseudonym where t.subject = _erase_limits.subject;
    update credits c set
        subject = _erase_limits.pseudonym, idempotency_key = case when c.idempotency_key is not null then gen_random_uuid()::text end,
        reason = case when c.statement_id is not null then c.reason end, void_reason = null
    where c.subject = _erase_limits.subject;
end
$$;

comment on function _erase_limits(text, text) is
    'Gives limits, plans, cycles, holds, top-ups and alerts of a subject to its pseudonym, without keys, metadata and reasons. Revokes its API keys.';
