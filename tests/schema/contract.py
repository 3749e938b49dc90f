"""The SQL contract, written down: what other programs are written against.

Signatures and results are promises. A function may gain trailing parameters that have defaults, and a result
may gain trailing columns; nothing else here may ever change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import psycopg

# folder: name(parameters, "= default" where there is one) -> [setof] result
CONTRACT = """
catalog:
  define_metric(key text, aggregate text, unit text, name text = null, description text = null,
    period text = null, rollup text = null, striped boolean = null, max_future interval = null,
    carry boolean = null, after_close text = null) -> metrics
  retire_metric(key text) -> metrics
  catalog() -> setof metrics
  metric(key text) -> metrics
record:
  record(subject text, metric text, quantity numeric = null, member text = null,
    idempotency_key text = null, at timestamptz = now(), metadata jsonb = null,
    total boolean = true, overflow boolean = false, strict boolean = false) -> recorded
  record_batch(events jsonb, on_invalid text = 'raise', overflow boolean = false,
    on_refused text = 'skip') -> setof batch_outcome
  known_events(events jsonb) -> setof batch_outcome
usage:
  usage(subject text, metric text, period text = null, since timestamptz = null,
    until timestamptz = null, timezone text = 'UTC', now timestamptz = now(),
    as_of timestamptz = null) -> usage_total
  summary(subject text, period text = null, since timestamptz = null, until timestamptz = null,
    timezone text = 'UTC', now timestamptz = now(),
    as_of timestamptz = null) -> setof usage_total
  series(subject text, metric text, since timestamptz, until timestamptz, step text = 'day',
    timezone text = 'UTC', as_of timestamptz = null) -> setof usage_bucket
  usage_by(subject text, metric text, dimension text, period text = null, since timestamptz = null,
    until timestamptz = null, timezone text = 'UTC', now timestamptz = now()) -> setof usage_group
  check_quota(subject text, metric text, quota numeric = null, requested numeric = null,
    period text = null, since timestamptz = null, until timestamptz = null, timezone text = 'UTC',
    now timestamptz = now()) -> quota_status
  totals(metric text, period text = null, since timestamptz = null, until timestamptz = null,
    timezone text = 'UTC', now timestamptz = now(), max_rows integer = 1000,
    after_subject text = null) -> setof subject_total
  subjects(max_rows integer = 100, after_subject text = null,
    after_at timestamptz = null) -> setof subject_activity
  events(subject text, metric text = null, since timestamptz = null, until timestamptz = null,
    after_id bigint = null, max_rows integer = 100,
    after_at timestamptz = null, as_of timestamptz = null) -> setof logged_events
  all_events(metric text = null, since timestamptz = null, until timestamptz = null,
    after_id bigint = null, max_rows integer = 100) -> setof logged_events
  resolve_window(period text = null, since timestamptz = null, until timestamptz = null,
    timezone text = 'UTC', now timestamptz = now()) -> tstzrange
correct:
  void_event(subject text, metric text, event_id bigint = null, idempotency_key text = null,
    reason text = null, at timestamptz = null) -> corrected
  amend_event(subject text, metric text, event_id bigint = null, idempotency_key text = null,
    quantity numeric = null, member text = null, at timestamptz = null, metadata jsonb = null,
    reason text = null) -> corrected
  adjust(subject text, metric text, quantity numeric, at timestamptz = now(), reason text = null,
    idempotency_key text = null) -> corrected
  open_correction(reason text, idempotency_key text = null) -> bigint
  stage_correction(id bigint, entries jsonb) -> bigint
  preview_correction(id bigint) -> setof correction_effect
  approve_correction(id bigint) -> setof correction_effect
  reject_correction(id bigint, reason text) -> void
  revert_correction(id bigint, reason text) -> bigint
  corrections(state text = null, subject text = null, max_rows integer = 100,
    after_id bigint = null) -> setof correction
  correction_entries(id bigint, max_rows integer = null,
    after_ordinal integer = 0) -> setof correction_entry
close:
  watermark(subject text) -> timestamptz
  close_period(subject text, since timestamptz = null, until timestamptz = null, period text = null,
    now timestamptz = now()) -> statement_header
  close_due(now timestamptz = now(), max_rows integer = 1000) -> setof closing
  statements(subject text = null, since timestamptz = null, until timestamptz = null,
    max_rows integer = 100, after_id bigint = null) -> setof statement_header
  statement(statement_id bigint) -> setof statement_line
  statement_document(statement_id bigint) -> text
  verify_statements(subject text = null) -> setof statement_problem
  late_usage(subject text = null, metric text = null, statement_id bigint = null,
    since timestamptz = null, until timestamptz = null, max_rows integer = 1000,
    after_id bigint = null, decided boolean = false) -> setof late_line
  settle_late_usage(statement_id bigint, metric text, delta numeric, decision text,
    reason text = null) -> late_settlement
  what_changed(statement_id bigint, metric text = null, max_rows integer = 100,
    after_id bigint = null) -> setof logged_events
  erase_subject(subject text, pseudonym text) -> bigint
limits:
  settings() -> setof setting
  set_setting(name text, value text) -> setting
  admin_log(object text = null, max_rows integer = 100, before_id bigint = null) -> setof admin_log
  billing_cycle(subject text, at timestamptz = now()) -> tstzrange
  set_billing_cycle(subject text, anchor timestamptz, timezone text = 'UTC', every text = 'month',
    since timestamptz = null) -> billing_cycles
  define_plan(plan text, name text = null) -> plans
  plans() -> setof plans
  subscribe(subject text, plan text, since timestamptz = now(),
    until timestamptz = null) -> subscriptions
  unsubscribe(subject text, plan text, at timestamptz = now()) -> subscriptions
  subscriptions(subject text, at timestamptz = null) -> setof subscriptions
  set_limit(metric text, quota numeric, subject text = null, plan text = null, period text = null,
    action text = 'block', marks numeric[] = '{80,100}', name text = 'default',
    since timestamptz = null, rollover_min numeric = null, rollover_max numeric = null,
    every numeric = null, projected boolean = false) -> limits
  remove_limit(metric text, subject text = null, plan text = null, period text = null,
    name text = 'default') -> limits
  limits(metric text = null, subject text = null, plan text = null, at timestamptz = null,
    max_rows integer = 1000, after_id bigint = null) -> setof limits
  effective_limits(subject text, metric text, at timestamptz = now()) -> setof effective_limit
  overruns(metric text = null, subject text = null, now timestamptz = now(),
    max_rows integer = 1000) -> setof overrun
  top_up(subject text, metric text, quantity numeric, idempotency_key text, priority integer = 50,
    since timestamptz = null, expires_at timestamptz = null, source text = 'paid',
    reason text = null) -> top_ups
  void_top_up(top_up_id bigint, reason text) -> top_ups
  top_ups(subject text, metric text, at timestamptz = now()) -> setof active_top_up
  balance(subject text, metric text, at timestamptz = now()) -> balance
  notifications(type text = null, subject text = null, after_id bigint = null,
    max_rows integer = 100, newest_first boolean = false) -> setof notifications
  reserve(subject text, metric text, quantity numeric, idempotency_key text = null,
    minimum numeric = null, ttl interval = null, metadata jsonb = null) -> reserved
  reserve_batch(requests jsonb) -> setof reserved_batch
  settle(reservation_id bigint, quantity numeric, at timestamptz = null,
    metadata jsonb = null) -> recorded
  release(reservation_id bigint) -> reserved
  extend(reservation_id bigint, ttl interval = null) -> reserved
  reservations(subject text = null, metric text = null, state text = null, max_rows integer = 100,
    before_id bigint = null) -> setof reservations
pricing:
  rate(price jsonb, quantity numeric, billed numeric = 0, final boolean = true,
    event_count numeric = null, dimensions jsonb = null, billed_events numeric = 0) -> setof rated_line
  define_price(plan text, item text, price jsonb, metric text = null, name text = null,
    since timestamptz = null, subject text = null, bill text = 'arrears', prorate boolean = true,
    tiers_after_change text = 'continue') -> plan_price
  retire_price(plan text, item text, at timestamptz = now(), subject text = null) -> plan_price
  prices(plan text = null, at timestamptz = now(), subject text = null,
    upcoming boolean = false) -> setof plan_price
  plan_minimums(plan text = null, at timestamptz = now(), upcoming boolean = false) -> setof plan_minimum
  set_plan_minimum(plan text, amount numeric, since timestamptz = null) -> plan_minimum
  invoice(subject text, since timestamptz = null, until timestamptz = null, period text = null,
    now timestamptz = now(), as_of timestamptz = null) -> setof invoice_line
  invoice_json(subject text, since timestamptz = null, until timestamptz = null, period text = null,
    now timestamptz = now(), as_of timestamptz = null) -> jsonb
credits:
  grant_credit(subject text, amount numeric, currency text, idempotency_key text, priority integer = 50,
    since timestamptz = null, expires_at timestamptz = null, source text = 'paid',
    reason text = null) -> credit
  void_credit(credit_id bigint, reason text) -> credit
  credits(subject text, at timestamptz = now()) -> setof credit
  set_tax(subject text, percent numeric, inclusive boolean = false, name text = 'tax',
    since timestamptz = null) -> tax
  taxes(subject text, at timestamptz = now()) -> setof tax
budgets:
  set_budget(amount numeric, currency text, subject text = null, plan text = null,
    period text = 'cycle', marks numeric[] = '{80,100}', action text = 'alert',
    since timestamptz = null, projected boolean = false) -> budgets
  remove_budget(currency text, subject text = null, plan text = null, period text = 'cycle') -> budgets
  budgets(subject text = null, plan text = null, at timestamptz = null, max_rows integer = 1000,
    after_id bigint = null) -> setof budgets
  budget_status(subject text, now timestamptz = now()) -> setof budget_status
  judge_budgets(now timestamptz = now(), max_subjects integer = 10000) -> budget_round
simulate:
  compare_plans(plan_a text, plan_b text, since timestamptz, until timestamptz,
    subjects text[] = null) -> setof plan_comparison
  simulate(scenario jsonb) -> jsonb
project:
  project_usage(subject text, metric text = null,
    now timestamptz = now()) -> setof usage_projection
  project_invoice(subject text, now timestamptz = now()) -> setof invoice_projection
  judge_projections(now timestamptz = now(), max_subjects integer = 1000) -> bigint
focus:
  focus_charges(since timestamptz, until timestamptz, subject text = null, provider text = 'pymeter',
    service_category text = 'Other') -> setof focus_charge
notify:
  define_endpoint(name text, url text, types text[] = null, secret_name text = null,
    format text = 'standard') -> endpoints
  endpoints() -> setof endpoint_status
  test_endpoint(name text) -> deliveries
  remove_endpoint(name text) -> endpoints
  deliveries(endpoint text = null, state text = null, subject text = null, max_rows integer = 100,
    after_id bigint = null) -> setof deliveries
  retry_deliveries(endpoint text = null, delivery_id bigint = null, now timestamptz = now()) -> bigint
  plan_deliveries(max_notifications integer = 1000, now timestamptz = now()) -> bigint
  claim_deliveries(worker text, max_deliveries integer = 100, lease interval = '00:02:00',
    now timestamptz = now()) -> setof claimed_delivery
  settle_deliveries(worker text, results jsonb,
    now timestamptz = now()) -> setof settled_delivery
  release_deliveries(worker text, now timestamptz = now()) -> bigint
  set_spike_alert(metric text, factor numeric, subject text = null, within interval = '01:00:00',
    baseline interval = '14 days') -> spike_alerts
  spike_alerts() -> setof spike_alerts
  remove_spike_alert(metric text, subject text = null,
    within interval = '01:00:00') -> spike_alerts
  judge_spikes(now timestamptz = now()) -> bigint
repair:
  verify(subject text = null, metric text = null) -> setof drift
  rebuild(subject text = null, metric text = null) -> bigint
own:
  own_usage(subject text, metric text, period text = null, since timestamptz = null,
    until timestamptz = null, timezone text = 'UTC', now timestamptz = now()) -> usage_total
  own_summary(subject text, period text = null, since timestamptz = null, until timestamptz = null,
    timezone text = 'UTC', now timestamptz = now()) -> setof usage_total
  own_series(subject text, metric text, since timestamptz, until timestamptz, step text = 'day',
    timezone text = 'UTC') -> setof usage_bucket
  own_usage_by(subject text, metric text, dimension text, period text = null, since timestamptz = null,
    until timestamptz = null, timezone text = 'UTC', now timestamptz = now()) -> setof usage_group
  own_events(subject text, metric text = null, since timestamptz = null, until timestamptz = null,
    after_id bigint = null, max_rows integer = 100,
    after_at timestamptz = null) -> setof logged_events
  own_limits(subject text, metric text, at timestamptz = now()) -> setof effective_limit
  own_check_quota(subject text, metric text, requested numeric = null,
    now timestamptz = now()) -> quota_status
  own_balance(subject text, metric text, at timestamptz = now()) -> balance
  own_budget_status(subject text, now timestamptz = now()) -> setof budget_status
  own_credits(subject text, at timestamptz = now()) -> setof credit
  own_statements(subject text, since timestamptz = null, until timestamptz = null,
    max_rows integer = 100, after_id bigint = null) -> setof statement_header
  own_statement(subject text, statement_id bigint) -> setof statement_line
  own_invoice(subject text, since timestamptz = null, until timestamptz = null, period text = null,
    now timestamptz = now()) -> setof invoice_line
  own_project_usage(subject text, metric text = null,
    now timestamptz = now()) -> setof usage_projection
  own_project_invoice(subject text, now timestamptz = now()) -> setof invoice_projection
access:
  grant_access(role text, level text, subject text = null) -> void
  revoke_access(role text, level text = null, subject text = null) -> void
  access() -> setof access_right
keys:
  create_api_key(level text, subject text = null, expires_at timestamptz = null,
    name text = null) -> new_api_key
  revoke_api_key(key_id bigint) -> api_key
  api_keys() -> setof api_key
  authenticate(credential text) -> authentication
report:
  define_biller(biller text = 'stripe', subject_is_customer boolean = null,
    dedup_window interval = null, dedup_margin interval = null, absence interval = null,
    max_age interval = null, max_ahead interval = null, grace interval = null,
    max_digits integer = null, too_old text = null, negative text = null,
    late text = null, sends text = null, statements_since timestamptz = null) -> billers
  report_metric(metric text, event_name text, mode text = null, biller text = 'stripe',
    since timestamptz = null) -> report_metrics
  report_subject(subject text, customer text, biller text = 'stripe') -> report_subjects
  report_mappings(biller text = 'stripe') -> setof report_metrics
  billers() -> setof billers
  customer_subjects(customer text, biller text = 'stripe') -> setof report_subjects
  plan_pushes(biller text = 'stripe', open_hours boolean = true, max_rows integer = 10000,
    now timestamptz = now()) -> bigint
  preview_pushes(biller text = 'stripe', open_hours boolean = true,
    now timestamptz = now()) -> setof planned_push
  claim_pushes(biller text, worker text, max_pushes integer = 100, lease interval = '00:02:00',
    now timestamptz = now()) -> setof claimed_push
  confirm_push(biller text, worker text, identifier text, attempt integer,
    margin interval = '00:00:00', now timestamptz = clock_timestamp()) -> boolean
  settle_pushes(biller text, worker text, results jsonb,
    now timestamptz = now()) -> setof settled_push
  release_pushes(biller text, worker text, now timestamptz = now()) -> bigint
  uncertain_hours(biller text = 'stripe', max_rows integer = 100,
    now timestamptz = now()) -> setof uncertain_hour
  settle_hour(biller text, customer text, event_name text, hour timestamptz, total numeric,
    delivered_total numeric = null, now timestamptz = now(),
    counting_since timestamptz = null, identifiers text[] = null) -> settled_hour
  resolve_push(identifier text, delivered boolean, now timestamptz = now()) -> pushes
  retry_pushes(biller text = 'stripe', identifier text = null,
    now timestamptz = now()) -> setof pushes
  leave_pushes(biller text = 'stripe', identifier text = null, reason text = null,
    now timestamptz = now()) -> setof pushes
  fail_pushes(biller text, event_id text, identifiers text[], code text, event_name text = null,
    since timestamptz = null, until timestamptz = null, now timestamptz = now()) -> bigint
  reconcilable_ranges(biller text = 'stripe', step text = 'day', max_rows integer = 100,
    since timestamptz = null, until timestamptz = null,
    now timestamptz = now()) -> setof reconcilable_range
  reconcile_range(biller text, customer text, event_name text, range_start timestamptz, step text,
    total numeric, now timestamptz = now()) -> reconciliations
  reconciliation(biller text = 'stripe') -> setof reconciliations
  report_status(biller text = 'stripe') -> setof push_status
  report_journal(biller text = 'stripe') -> report_journal
  adopt_journal(biller text = 'stripe', complete boolean = false,
    now timestamptz = now(), force boolean = false) -> report_journal
  pushes(biller text = 'stripe', state text = null, subject text = null, max_rows integer = 100,
    after_id bigint = null) -> setof pushes
operate:
  maintain(keep interval = null, detach boolean = false) -> setof maintenance_action
  health(now timestamptz = now()) -> health
  operational_metrics(now timestamptz = now()) -> setof operational_metric
  check_drift() -> bigint
scale:
  shard_slot(shard_key text) -> integer
  shard_state() -> shard_state
  set_shard(number integer, ids_above bigint = 0, slots text = null) -> shard_state
  moves() -> setof moves
  close_home(subject text, target text, wait interval = '00:00:05', run uuid = null) -> moves
  reopen_home(subject text, run uuid = null) -> boolean
  leave_home(subject text, run uuid = null) -> moves
  expect_subject(subject text, source text, run uuid = null) -> moves
  admit_subject(subject text, run uuid = null) -> boolean
archive:
  archive_rows(month timestamptz) -> setof archive_row
  archive_month(month timestamptz, file_name text, file_hash text, event_count bigint, digest text,
    detach boolean = false) -> archives
  archives(max_rows integer = 100, after_id bigint = null) -> setof archives
  stage_archive(archive_id bigint, rows jsonb) -> bigint
  restore_archive(archive_id bigint) -> archives
"""

RESULTS = """
metrics(key text, aggregate text, unit text, name text, description text, period text, rollup text,
  striped boolean, max_future interval, defined_at timestamptz, retired_at timestamptz,
  billers text[], carry boolean, revision integer, fine_bucket text, coarse_bucket text,
  limited boolean, after_close text)
recorded(event_id bigint, outcome text, quantity numeric, unit text, period_start timestamptz,
  period_end timestamptz, remaining numeric, limited_by text)
batch_outcome(ordinal bigint, event_id bigint, outcome text, sqlstate text, message text, hint text)
usage_total(metric text, quantity numeric, unit text, aggregate text, event_count bigint,
  since timestamptz, until timestamptz, has_data boolean)
usage_bucket(bucket_start timestamptz, bucket_end timestamptz, quantity numeric, event_count bigint,
  has_data boolean)
usage_group(value text, quantity numeric, event_count bigint)
quota_status(metric text, allowed boolean, used numeric, remaining numeric, quota numeric, unit text,
  since timestamptz, until timestamptz, held numeric, overrun numeric, limited_by text)
corrected(correction_id bigint, event_id bigint, outcome text, quantity numeric)
correction_effect(subject text, metric text, since timestamptz, until timestamptz, before numeric,
  after numeric, delta numeric, closed boolean, reported boolean, limits text[], amount numeric,
  currency text)
correction(correction_id bigint, state text, reason text, entries bigint, opened_by text,
  opened_at timestamptz, decided_by text, decided_at timestamptz, decision text, reverts bigint,
  reverted_by bigint)
correction_entry(ordinal integer, entry text, subject text, metric text, corrects bigint,
  quantity numeric, member text, idempotency_key text, at timestamptz, metadata jsonb, reason text,
  outcome text, event_id bigint)
statement_header(statement_id bigint, subject text, since timestamptz, until timestamptz,
  closed_at timestamptz, watermark timestamptz, previous_hash text, hash text, lines bigint,
  closed_by text, totals jsonb)
statement_line(line integer, kind text, metric text, quantity numeric, unit text, aggregate text,
  event_count bigint, since timestamptz, until timestamptz, late_of bigint, item text,
  unit_amount numeric, exact_amount numeric, amount numeric, currency text, price_version bigint,
  explanation text, plan text, tier integer, flat_amount numeric, name text)
closing(subject text, since timestamptz, until timestamptz, statement_id bigint, outcome text,
  sqlstate text, message text, totals jsonb)
late_line(statement_id bigint, subject text, metric text, since timestamptz, until timestamptz,
  stated numeric, current numeric, delta numeric, billed numeric, waived numeric, unit text,
  amount numeric, currency text)
late_settlement(statement_id bigint, metric text, outcome text, delta numeric, billed numeric,
  waived numeric, amount numeric, currency text)
statement_problem(statement_id bigint, subject text, what text, line integer, metric text,
  stated text, found text)
setting(name text, value text, default_value text, description text)
admin_log(entry_id bigint, changed_at timestamptz, role text, application text, action text,
  object text, before jsonb, after jsonb)
billing_cycles(subject text, since timestamptz, anchor timestamptz, timezone text, every text)
plans(plan text, name text, defined_at timestamptz, currency text)
subscriptions(subscription_id bigint, subject text, plan text, since timestamptz, until timestamptz)
limits(limit_id bigint, metric text, name text, period text, subject text, plan text,
  since timestamptz, quota numeric, action text, marks numeric[], every numeric, rollover_min numeric,
  rollover_max numeric, removed boolean, created_at timestamptz, projected boolean)
effective_limit(limit_id bigint, metric text, name text, period text, source text, plan text,
  quota numeric, action text, since timestamptz, until timestamptz, counts boolean, reason text,
  marks numeric[], every numeric, projected boolean)
overrun(subject text, metric text, limited_by text, period text, since timestamptz, until timestamptz,
  used numeric, quota numeric, overrun numeric, unit text, cause text)
top_ups(top_up_id bigint, metric text, subject text, idempotency_key text, quantity numeric,
  priority integer, since timestamptz, expires_at timestamptz, source text, reason text,
  created_at timestamptz, voided_at timestamptz, void_reason text, depleted_at timestamptz,
  expired_at timestamptz, looked_at timestamptz)
active_top_up(top_up_id bigint, metric text, subject text, idempotency_key text, quantity numeric,
  used numeric, remaining numeric, priority integer, since timestamptz, expires_at timestamptz,
  source text, reason text, created_at timestamptz)
balance(quota numeric, used numeric, held numeric, overrun numeric, top_ups numeric,
  top_ups_left numeric, remaining numeric, limited_by text, since timestamptz, until timestamptz)
notifications(notification_id bigint, type text, subject text, metric text, data jsonb,
  created_at timestamptz, planned_at timestamptz)
rated_line(tier integer, quantity numeric, unit_amount numeric, flat_amount numeric, amount numeric,
  explanation text)
plan_price(price_version bigint, plan text, item text, metric text, name text, subject text,
  price jsonb, currency text, bill text, prorate boolean, tiers_after_change text,
  since timestamptz, recorded_at timestamptz, recorded_by text)
plan_minimum(plan text, amount numeric, currency text, since timestamptz, recorded_at timestamptz,
  recorded_by text)
invoice_line(item text, metric text, kind text, since timestamptz, until timestamptz, quantity numeric,
  unit text, unit_amount numeric, exact_amount numeric, amount numeric, currency text,
  price_version bigint, explanation text, plan text, tier integer, flat_amount numeric,
  event_count bigint, name text, late_of bigint)
credit(credit_id bigint, subject text, currency text, amount numeric, drawn numeric, remaining numeric,
  priority integer, since timestamptz, expires_at timestamptz, source text, reason text,
  idempotency_key text, statement_id bigint, recorded_at timestamptz, recorded_by text,
  voided_at timestamptz, void_reason text)
tax(subject text, name text, percent numeric, inclusive boolean, since timestamptz,
  recorded_at timestamptz, recorded_by text)
budgets(budget_id bigint, subject text, plan text, currency text, period text, since timestamptz,
  amount numeric, action text, marks numeric[], projected boolean, removed boolean,
  created_at timestamptz)
budget_status(currency text, period text, since timestamptz, until timestamptz, amount numeric,
  spent numeric, remaining numeric, percent numeric, projected numeric, action text, marks numeric[],
  reached numeric[], blocked boolean, judged_at timestamptz, source text, plan text, budget_id bigint,
  reason text)
budget_round(judged_at timestamptz, judged bigint, priced bigint, approaching bigint, exceeded bigint,
  cleared bigint, blocked bigint, released bigint, failed bigint, remaining bigint)
plan_comparison(subject text, currency_a text, amount_a numeric, currency_b text, amount_b numeric,
  difference numeric, pays_more bigint, pays_less bigint, pays_same bigint)
usage_projection(metric text, aggregate text, unit text, since timestamptz, until timestamptz,
  at timestamptz, elapsed numeric, used numeric, method text, low numeric, expected numeric,
  high numeric, run_rate numeric, weekday_profile numeric, history_days integer, reason text)
invoice_projection(item text, metric text, kind text, since timestamptz, until timestamptz,
  quantity numeric, unit text, so_far numeric, low numeric, expected numeric, high numeric,
  currency text, method text, reason text, explanation text, plan text, name text)
focus_charge(BilledCost numeric, BillingAccountId text, BillingAccountName text,
  BillingCurrency text, BillingPeriodEnd text, BillingPeriodStart text, ChargeCategory text,
  ChargeClass text, ChargeDescription text, ChargeFrequency text, ChargePeriodEnd text,
  ChargePeriodStart text, ConsumedQuantity numeric, ConsumedUnit text, ContractedCost numeric,
  ContractedUnitPrice numeric, EffectiveCost numeric, InvoiceId text, InvoiceIssuerName text,
  ListCost numeric, ListUnitPrice numeric, PricingCategory text, PricingQuantity numeric,
  PricingUnit text, ProviderName text, PublisherName text, ServiceCategory text, ServiceName text,
  ServiceSubcategory text, SkuId text, SkuMeter text, SkuPriceDetails jsonb, SkuPriceId text,
  x_CorrectedInvoiceId text, x_IncludedTax numeric, x_Item text, x_Kind text, x_PriceVersion bigint,
  x_StatementHash text, x_StatementLine integer)
reserved(reservation_id bigint, outcome text, held numeric, used numeric, held_total numeric,
  remaining numeric, quota numeric, limited_by text, expires_at timestamptz)
reserved_batch(ordinal bigint, reservation_id bigint, outcome text, held numeric, used numeric,
  held_total numeric, remaining numeric, quota numeric, limited_by text, expires_at timestamptz)
reservations(reservation_id bigint, metric text, subject text, idempotency_key text, quantity numeric,
  minimum numeric, held numeric, at timestamptz, expires_at timestamptz, state text,
  settled_quantity numeric, settled_at timestamptz, settled_for timestamptz, is_late boolean,
  metadata jsonb)
endpoints(name text, url text, types text[], format text, secret_name text, since timestamptz,
  failing_since timestamptz, disabled_at timestamptz, disabled_reason text, created_at timestamptz)
endpoint_status(name text, url text, types text[], format text, secret_name text, since timestamptz,
  failing_since timestamptz, disabled_at timestamptz, disabled_reason text, created_at timestamptz,
  open_deliveries bigint, dead_deliveries bigint, oldest_open_at timestamptz)
deliveries(delivery_id bigint, notification_id bigint, endpoint text, subject text, lane text,
  type text, message_id text, body text, state text, attempts integer, failures integer,
  next_attempt_at timestamptz, worker text, status integer, error text, created_at timestamptz,
  settled_at timestamptz)
claimed_delivery(delivery_id bigint, attempt integer, message_id text, endpoint text, url text,
  format text, secret_name text, type text, subject text, body text, leased_until timestamptz)
settled_delivery(delivery_id bigint, state text, next_attempt_at timestamptz)
spike_alerts(spike_alert_id bigint, metric text, subject text, within interval, factor numeric,
  baseline interval, created_at timestamptz)
subject_total(subject text, quantity numeric, event_count bigint)
subject_activity(subject text, last_activity_at timestamptz)
logged_events(event_id bigint, at timestamptz, recorded_at timestamptz, subject text, metric text,
  quantity numeric, member text, idempotency_key text, metadata jsonb, kind text, corrects bigint,
  correction_id bigint)
drift(subject text, metric text, bucket text, bucket_start timestamptz, stored numeric,
  recomputed numeric, what text)
maintenance_action(action text, object text)
access_right(role text, level text, subject text, complete boolean, rights text[], members text[])
health(healthy boolean, problems text[], notices text[], missing_partitions bigint, stray_events bigint,
  oldest_unreported_at timestamptz, last_maintained_at timestamptz, silent text[], bloated text[])
operational_metric(name text, type text, help text, labels jsonb, value numeric)
claimed_push(push_id bigint, attempt integer, subject text, metric text, identifier text,
  customer text, event_name text, value text, stamped_at timestamptz, due_at timestamptz,
  leased_until timestamptz, statement_id bigint, line integer, description text, since timestamptz,
  until timestamptz, statement_hash text)
billers(biller text, subject_is_customer boolean, dedup_window interval, dedup_margin interval,
  absence interval, max_age interval, max_ahead interval, grace interval, max_digits integer,
  too_old text, negative text, late text, first_claimed_at timestamptz, sends text,
  statements_since timestamptz)
planned_push(subject text, metric text, customer text, event_name text, value text,
  stamped_at timestamptz, state text, reason text, bucket_start timestamptz, event_id bigint,
  mode text, due_at timestamptz, statement_id bigint, line integer, description text,
  since timestamptz, until timestamptz)
pushes(push_id bigint, subject text, metric text, biller text, bucket_start timestamptz,
  event_id bigint, mode text, identifier text, customer text, event_name text, value numeric,
  stamped_at timestamptz, due_at timestamptz, state text, reason text, error text, attempts integer,
  unsure_attempts integer, unsure_since timestamptz, absent_since timestamptz,
  planned_at timestamptz, next_attempt_at timestamptz, first_attempt_at timestamptz,
  last_attempt_at timestamptz, settled_at timestamptz, replaces bigint, replaced_by bigint,
  statement_id bigint, line integer, description text, since timestamptz, until timestamptz)
report_journal(biller text, stopped boolean, server text, this_server text, adopted_at timestamptz,
  doubtful_until timestamptz, sends text)
reconcilable_range(customer text, event_name text, range_start timestamptz, range_end timestamptz,
  step text, local numeric, cause text)
reconciliations(biller text, customer text, event_name text, step text, range_start timestamptz,
  local numeric, remote numeric, difference numeric, checked_at timestamptz, recheck boolean)
report_metrics(biller text, metric text, event_name text, mode text, since timestamptz,
  event_after bigint)
api_key(key_id bigint, name text, level text, subject text, created_at timestamptz, created_by text,
  expires_at timestamptz, revoked_at timestamptz, last_used_at timestamptz)
new_api_key(key_id bigint, key text, name text, level text, subject text, expires_at timestamptz)
authentication(key_id bigint, name text, level text, subject text, role text, expires_at timestamptz)
push_status(state text, pushes bigint, quantity numeric, oldest timestamptz, metric text)
report_subjects(subject text, biller text, customer text)
moves(subject text, state text, other text, run uuid, copied_id bigint, copied_at timestamptz,
  started_at timestamptz, changed_at timestamptz)
shard_state(number integer, ids_above bigint, joined_at timestamptz, highest_id bigint,
  earlier_id bigint, problems text[], slots text)
settled_hour(verdict text, present bigint, absent bigint, uncertain bigint)
settled_push(push_id bigint, state text, reason text, next_attempt_at timestamptz)
uncertain_hour(customer text, event_name text, hour timestamptz, delivered_total numeric,
  uncertain_total numeric, uncertain_pushes bigint)
archives(archive_id bigint, month timestamptz, part bigint, event_count bigint, first_id bigint,
  last_id bigint, last_recorded_at timestamptz, archived_at timestamptz, restored_at timestamptz,
  file_name text, file_hash text, digest text, archived_by text, restored_by text)
archive_row(event_id bigint, at timestamptz, recorded_at timestamptz, series_id integer, subject text,
  metric text, quantity numeric, member text, idempotency_key text, metadata jsonb, kind text,
  corrects bigint, correction_id bigint, undone_by bigint, counts smallint)
"""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function; ``default`` is its SQL, None where there is none."""

    name: str
    type: str
    default: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.type}" + ("" if self.default is None else f" = {self.default}")


@dataclass(frozen=True)
class Function:
    """One function as the catalog has it."""

    name: str
    parameters: tuple[Parameter, ...]
    result: str
    comment: str | None

    @property
    def is_public(self) -> bool:
        """Whether users may call it; tests/schema/test_files.py shows that the folders say the same."""
        return not self.name.startswith("_")

    @property
    def returns_set(self) -> bool:
        return self.result.startswith("setof ")

    @property
    def result_type(self) -> str:
        return self.result.removeprefix("setof ")

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.parameters))}) -> {self.result}"


def contract() -> dict[str, list[str]]:
    """``{"record": ["record(subject text, ...) -> recorded", ...], ...}``, in the order written above."""
    folders: dict[str, list[str]] = {}
    for line in _joined(CONTRACT):
        if line.endswith(":"):
            folders[line.removesuffix(":")] = functions = []
        else:
            functions.append(line)
    return folders


def results() -> dict[str, str]:
    """``{"recorded": "event_id bigint, outcome text, ...", ...}``."""
    return {line.split("(")[0]: line.split("(", 1)[1].removesuffix(")") for line in _joined(RESULTS)}


def names() -> list[str]:
    """The public functions in the order in which a user meets them."""
    return [line.split("(")[0] for lines in contract().values() for line in lines]


def _joined(text: str) -> list[str]:
    """The lines of ``text``, each continued by those that are indented deeper, without the indentation."""
    return re.sub(r",\n\s+", ", ", text).replace("\n  ", "\n").strip().splitlines()


def read_functions(connection: psycopg.Connection[Any], schema: str = "meter") -> list[Function]:
    """Every function of the schema, by name."""
    rows = connection.execute(
        """
        select p.proname, p.proretset, format_type(p.prorettype, null), obj_description(p.oid, 'pg_proc'),
               coalesce((
                   select json_agg(json_build_array(
                       p.proargnames[n], format_type(p.proargtypes[n - 1], null),
                       pg_get_function_arg_default(p.oid, n::int)) order by n)
                   from generate_series(1, p.pronargs) as n), '[]')
        from pg_proc p
        where p.pronamespace = %s::regnamespace
        order by p.proname collate "C", p.oid
        """,
        [schema],
    ).fetchall()
    return [
        Function(
            name,
            tuple(Parameter(n, short_type(t, schema), _short_default(d)) for n, t, d in parameters),
            ("setof " if is_set else "") + short_type(result, schema),
            comment,
        )
        for name, is_set, result, comment, parameters in rows
    ]


def short_type(name: str, schema: str = "meter") -> str:
    """``timestamptz`` for ``timestamp with time zone``; no schema in front of the meter's own types."""
    return name.replace("timestamp with time zone", "timestamptz").removeprefix(f"{schema}.")


def _short_default(default: str | None) -> str | None:
    if default is None:
        return None
    without_cast = re.sub(r"::[a-z ]+(\[\])?$", "", default)
    return "null" if without_cast == "NULL" else without_cast
