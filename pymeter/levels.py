"""Which level of access each call needs, for notes on errors: sql/access/_level_functions.sql decides."""

from __future__ import annotations

from typing import Final

_CALLS: Final = {
    "read": """
        catalog metric usage totals summary series usage_by check_quota subjects events all_events
        resolve_window health
        settings billing_cycle plans subscriptions limits effective_limits overruns notifications
        reservations top_ups balance
        corrections correction_entries preview_correction
        statements statement statement_document late_usage what_changed
        rate prices plan_minimums invoice invoice_json credits taxes simulate
        compare_plans project_usage project_invoice focus_charges
        budgets budget_status operational_metrics
        endpoints deliveries spike_alerts
        shard_slot shard_state
    """,
    "write": "record record_batch known_events reserve reserve_batch settle release extend",
    "report": """
        plan_pushes preview_pushes claim_pushes confirm_push settle_pushes release_pushes uncertain_hours
        settle_hour fail_pushes reconcilable_ranges reconcile_range reconciliation report_status
        report_mappings report_journal pushes billers customer_subjects
        plan_deliveries claim_deliveries settle_deliveries release_deliveries judge_spikes
        judge_budgets
        judge_projections
    """,
    "admin": """
        define_metric retire_metric verify rebuild check_drift maintain access
        archive_rows archive_month archives stage_archive restore_archive
        set_setting admin_log set_billing_cycle define_plan subscribe unsubscribe set_limit remove_limit
        top_up void_top_up
        define_price retire_price set_plan_minimum
        grant_credit void_credit set_tax set_budget remove_budget
        void_event amend_event adjust open_correction stage_correction
        watermark close_period close_due verify_statements settle_late_usage erase_subject
        define_biller report_metric report_subject resolve_push retry_pushes leave_pushes adopt_journal
        api_keys revoke_api_key
        define_endpoint remove_endpoint test_endpoint retry_deliveries set_spike_alert remove_spike_alert
        moves close_home reopen_home leave_home expect_subject admit_subject
    """,
    "approve": "approve_correction reject_correction revert_correction",
    "own": """
        own_usage own_summary own_series own_usage_by own_events own_limits own_check_quota own_balance
        own_invoice own_credits own_project_usage own_project_invoice
        own_budget_status own_statements own_statement
    """,
    "login": "authenticate",
    "owner": "grant_access revoke_access create_api_key set_shard",
}
LEVELS: Final = {call: level for level, calls in _CALLS.items() for call in calls.split()}


def missing_level(function: str) -> str:
    """What to do for a role that may not call the function."""
    level = LEVELS.get(function)
    if level is None:
        return "The owner of the meter grants access by level, with grant_access()."
    if level == "owner":
        return f"Only the owner of the meter may call {function}()."
    if level == "own":
        return f"{function}() is for roles that grant_access(role, 'read', subject) bound to a subject."
    return (
        f"{function}() needs the level {level}, which the owner of the meter grants with:"
        f" SELECT grant_access(role, '{level}'), or: pymeter grant ROLE {level}"
    )


def missing_key(function: str) -> str:
    """The same for a caller who has sent a key over HTTP."""
    level = LEVELS.get(function)
    if level is None or level in ("owner", "login"):
        return missing_level(function)
    if level == "own":
        return f"{function}() needs a key or token of one subject: pymeter key create read --subject SUBJECT"
    return f"{function}() needs a key of the level {level}: pymeter key create {level} --name NAME"
