-- What a subject consists of. A test fails when a table is neither here nor in _meter_tables(). In a predicate, t is the table, $subject the
-- subject, $series its series and $subject_id its row in sealed_subjects, as this meter numbers them.
create or replace function _moved_tables()
returns table (name text, treatment text, numbered text, predicate text)
language sql
immutable
set search_path from current
as $$
    select t.name, t.treatment, t.numbered, t.predicate
    from (values
        ('events', 'log', 'series_id series', 't.series_id = any ($series)'),
        ('keys', 'keys', null, null),
        ('old_keys', 'keys', null, null),
        ('series', 'series', 'series_id series', 't.series_id = any ($series)'),
        ('rollups', 'replace', 'series_id series', 't.series_id = any ($series)'),
        ('unique_members', 'replace', 'series_id series', 't.series_id = any ($series)'),
        ('dropped_rollups', 'replace', 'series_id series', 't.series_id = any ($series)'),
        ('dropped_members', 'replace', 'series_id series', 't.series_id = any ($series)'),
        ('event_kinds', 'replace', 'series_id series', 't.series_id = any ($series)'),
        ('amended_keys', 'keep', null, 't.event_id in (select k.event_id from event_kinds k where k.series_id = any ($series))'),
        ('corrections', 'update', null, 't.correction_id = any (_corrections_of($subject))'),
        ('correction_entries', 'update', null, 't.subject = $subject'),
        ('unreported', 'replace', 'series_id series', 't.series_id = any ($series)'),
        ('report_subjects', 'replace', null, 't.subject = $subject'),
        ('reported', 'replace', null, 't.subject = $subject'),
        ('pushes', 'update', null, 't.subject = $subject'),
        ('reconciliations', 'replace', null, '(t.biller, t.customer) in (select c.biller, c.customer from _customers_of($subject) c)'),
        ('sealed_subjects', 'update', 'subject_id subject', 't.subject = $subject'),
        ('statements', 'keep', 'subject_id subject', 't.subject_id = $subject_id'),
        ('statement_lines', 'keep', null, '$statement'),
        ('late_decisions', 'replace', null, '$statement'),
        ('late_notices', 'replace', null, '$statement'),
        ('dropped_late', 'replace', null, '$statement'),
        ('unbilled_statements', 'replace', 'subject_id subject', 't.subject_id = $subject_id'),
        ('billing_cycles', 'replace', null, 't.subject = $subject'),
        ('cycle_history', 'replace', null, 't.subject = $subject'),
        ('subscriptions', 'replace', null, 't.subject = $subject'),
        ('subscription_history', 'replace', null, 't.subject = $subject'),
        ('limits', 'replace', null, 't.subject = $subject'),
        ('limited_subjects', 'replace', null, 't.subject = $subject'),
        ('fired_marks', 'replace', 'limit_id limit', 't.subject = $subject'),
        ('reservations', 'replace', null, 't.subject = $subject'),
        ('top_ups', 'replace', null, 't.subject = $subject'),
        ('spike_alerts', 'replace', null, 't.subject = $subject'),
        ('announced_subjects', 'replace', null, 't.subject = $subject'),
        ('detected_spikes', 'replace', 'spike_alert_id spike_alert', 't.subject = $subject'),
        ('plan_prices', 'replace', null, 't.subject = $subject'),
        ('credits', 'replace', null, 't.subject = $subject'),
        ('credit_draws', 'keep', null, 't.credit_id in (select c.credit_id from credits c where c.subject = $subject)'),
        ('taxes', 'replace', null, 't.subject = $subject'),
        ('budgets', 'replace', null, 't.subject = $subject'),
        ('budget_judgements', 'replace', null, 't.subject = $subject'),
        ('budget_spending', 'replace', null, 't.subject = $subject'),
        ('fired_budget_marks', 'replace', null, 't.subject = $subject'),
        ('api_keys', 'replace', null, 't.subject = $subject'),
        ('admin_log', 'keep', null, 't.action = any (_actions_on_subjects()) and $subject in (t.before ->> ''subject'', t.after ->> ''subject'')')
    ) t (name, treatment, numbered, predicate)
$$;

comment on function _moved_tables() is
    'The tables that have rows of subjects, and which rows those are. treatment, at the new home: log (what is missing is added), keys (as log; '
    'found by the log), keep (what is missing is added; rows never change), update (added or updated), replace (deleted and inserted) or series. '
    'numbered: a column with a number that every meter draws for itself, and of what.';

-- Each of them logs rows that have the subject. What it is called as an object may also be the name of a metric or a plan.
create or replace function _actions_on_subjects()
returns text[]
language sql
immutable
set search_path from current
as $$
    select '{set_billing_cycle,subscribe,unsubscribe,top_up,void_top_up,set_limit,remove_limit,set_budget,remove_budget,set_spike_alert,
        remove_spike_alert,grant_credit,void_credit,set_tax,define_price,retire_price,create_api_key,revoke_api_key}'::text[]
$$;

comment on function _actions_on_subjects() is 'What admin_log notes of a subject, and not of the meter only.';

create or replace function _meter_tables()
returns table (name text, reason text)
language sql
immutable
set search_path from current
as $$
    select t.name, t.reason
    from (values
        ('metrics', 'a definition'), ('plans', 'a definition'), ('plan_minimums', 'a definition'), ('settings', 'a definition'),
        ('billers', 'a definition'), ('report_metrics', 'a definition'), ('endpoints', 'a definition'),
        ('installation', 'of the installer'), ('installed_objects', 'of the installer'), ('locks', 'of a session'), ('erasures', 'of a session'),
        ('log_months', 'the months of the log'), ('key_marks', 'of maintain()'), ('keys_moved', 'of maintain()'), ('maintenance', 'of maintain()'),
        ('archives', 'months of the log'), ('archived_rows', 'of a transaction'), ('archives_changed', 'of archive_month()'),
        ('shard', 'which meter it is'), ('moves', 'where subjects are'), ('report_journals', 'where the journal is'),
        ('shared_corrections', 'noted by _receive_definitions()'),
        ('report_lanes', 'made anew by _resume_sending()'), ('report_errors', 'reports of the biller that were dealt with here'),
        ('access_grants', 'roles of a server: granted anew by _receive_access()'),
        ('announced_periods', 'how far an announcement has come: see announced_subjects'), ('projection_rounds', 'how far a round has come'),
        ('notifications', 'told by the meter that wrote them'), ('deliveries', 'sent by the meter that planned them')
    ) t (name, reason)
$$;

comment on function _meter_tables() is 'The tables whose rows belong to a meter and not to a subject, and why they are not moved.';
