-- A row for each level and folder. own replaces read for a role that is bound to subjects; a role that was granted own by name is bound by the
-- credential of the request. owner cannot be granted: it keeps roles from escalating.
create or replace function _level_functions()
returns table (level text, function text)
language sql
immutable parallel safe
as $$
    select l.level, f.function
    from (values
        ('read', '{catalog,metric}'::text[]),
        ('read', '{usage,summary,series,usage_by,check_quota,totals,subjects,events,all_events,resolve_window}'),
        ('read', '{health,operational_metrics}'),
        ('read', '{shard_slot,shard_state}'),
        ('read', '{settings,billing_cycle,plans,subscriptions,limits,effective_limits,overruns,notifications,reservations,top_ups,balance}'),
        ('read', '{endpoints,deliveries,spike_alerts}'),
        ('read', '{corrections,correction_entries,preview_correction}'),
        ('read', '{statements,statement,statement_document,late_usage,what_changed}'),
        ('read', '{rate,prices,plan_minimums,invoice,invoice_json}'),
        ('read', '{credits,taxes}'),
        ('read', '{simulate,compare_plans}'),
        ('read', '{project_usage,project_invoice}'),
        ('read', '{budgets,budget_status}'),
        ('read', '{focus_charges}'),
        ('write', '{record,record_batch,known_events}'),
        ('write', '{reserve,reserve_batch,settle,release,extend}'),
        -- What programs call in their loops. Mappings and manual decisions need the level admin.
        ('report', '{plan_pushes,preview_pushes,claim_pushes,confirm_push,settle_pushes,release_pushes,uncertain_hours,settle_hour,fail_pushes}'),
        ('report', '{reconcilable_ranges,reconcile_range,reconciliation,report_status,pushes,report_mappings,report_journal,billers}'),
        ('report', '{customer_subjects}'),
        ('report', '{plan_deliveries,claim_deliveries,settle_deliveries,release_deliveries,judge_spikes,judge_budgets,judge_projections}'),
        ('admin', '{define_metric,retire_metric}'),
        ('admin', '{verify,rebuild,check_drift,maintain,access}'),
        ('admin', '{archive_rows,archive_month,archives,stage_archive,restore_archive}'),
        ('admin', '{set_setting,admin_log,set_billing_cycle,define_plan,subscribe,unsubscribe,set_limit,remove_limit,top_up,void_top_up}'),
        ('admin', '{define_endpoint,remove_endpoint,test_endpoint,retry_deliveries,set_spike_alert,remove_spike_alert}'),
        ('admin', '{define_biller,report_metric,report_subject,resolve_push,retry_pushes,leave_pushes,adopt_journal}'),
        ('admin', '{void_event,amend_event,adjust,open_correction,stage_correction}'),
        ('admin', '{watermark,close_period,close_due,verify_statements,settle_late_usage,erase_subject}'),
        ('admin', '{define_price,retire_price,set_plan_minimum}'),
        ('admin', '{grant_credit,void_credit,set_tax}'),
        ('admin', '{set_budget,remove_budget}'),
        ('approve', '{approve_correction,reject_correction,revert_correction}'),
        ('own', '{own_usage,own_summary,own_series,own_usage_by,own_events,own_limits,own_check_quota,own_balance}'),
        ('own', '{own_invoice,own_credits,own_project_usage,own_project_invoice,own_budget_status,own_statements,own_statement}'),
        ('login', '{authenticate}'),
        ('admin', '{api_keys,revoke_api_key}'),
        ('owner', '{grant_access,revoke_access}'),
        ('owner', '{create_api_key}'),
        ('owner', '{set_shard}'),
        ('admin', '{moves,close_home,reopen_home,leave_home,expect_subject,admit_subject}')
    ) as l (level, functions)
    cross join lateral unnest(l.functions) as f (function)
$$;

comment on function _level_functions() is
    'Returns the level of every public function: read, write, report, admin, approve, login (who takes the role of a key), own (read, for a role '
    'that is bound to subjects) or owner (never granted).';
