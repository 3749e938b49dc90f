"""Where each function of the contract goes. A test demands that none is missing."""

from __future__ import annotations

from typing import Final

from pymeter.scale import merging as m
from pymeter.scale.rules import (
    AnyShard,
    Erasing,
    Everywhere,
    FirstShard,
    If,
    Known,
    MapCustomer,
    Merged,
    MergedDefinitions,
    NotAcross,
    OfSubjects,
    OnCustomer,
    OnId,
    OnSubject,
    Rule,
    SettledPushes,
    SharedAndOwn,
    SplitById,
    SplitBySubject,
    Subjects,
    Taken,
)


def _all(rule: Rule, functions: str) -> dict[str, Rule]:
    return dict.fromkeys(functions.split(), rule)


def _pages(*columns: str) -> Merged:
    return Merged(m.ordered(*columns), pages=True)


RULES: Final[dict[str, Rule]] = {
    # ------------------------------------------------------------------- one subject, so one shard
    **_all(
        OnSubject(),
        """
        record usage summary series usage_by check_quota events
        void_event amend_event adjust
        watermark close_period
        billing_cycle set_billing_cycle subscribe unsubscribe subscriptions effective_limits
        top_up top_ups balance reserve
        invoice invoice_json grant_credit credits set_tax taxes budget_status
        project_usage project_invoice
        own_usage own_summary own_series own_usage_by own_events own_limits own_check_quota own_balance
        own_statements own_statement
        own_budget_status own_credits own_invoice own_project_usage own_project_invoice
        """,
    ),
    "erase_subject": Erasing(),
    "create_api_key": OnSubject(FirstShard()),
    # ---------------------------------------------------------------- one id, which tells its shard
    **_all(OnId("reservation_id"), "settle release extend"),
    **_all(OnId("statement_id"), "statement statement_document what_changed settle_late_usage"),
    "void_top_up": OnId("top_up_id"),
    "void_credit": OnId("credit_id"),
    "revoke_api_key": OnId("key_id"),
    **_all(
        OnId("id"),
        """
        stage_correction preview_correction approve_correction reject_correction revert_correction
        correction_entries
        """,
    ),
    "open_correction": NotAcross("a correction is of subjects of one shard, which its id tells."),
    # ------------------------------------------------------------------- batches, split and merged
    "record_batch": SplitBySubject("events", "Event"),
    "known_events": SplitBySubject("events", "Event"),
    "reserve_batch": SplitBySubject("requests", "Request"),
    "settle_pushes": SettledPushes("results", "push_id"),
    "settle_deliveries": SplitById("results", "delivery_id"),
    "compare_plans": OfSubjects("subjects", m.compared_plans),
    # --------------------------------------------------------------- definitions, alike on all shards
    **_all(
        Everywhere(),
        """
        define_metric retire_metric set_setting define_plan set_plan_minimum
        define_endpoint remove_endpoint define_biller report_metric
        grant_access revoke_access
        """,
    ),
    **_all(
        OnSubject(Everywhere()),
        """
        set_limit remove_limit set_budget remove_budget define_price retire_price
        set_spike_alert remove_spike_alert
        """,
    ),
    **_all(
        AnyShard(),
        """
        catalog metric plans settings plan_minimums report_mappings billers access
        resolve_window rate simulate shard_slot
        """,
    ),
    "prices": OnSubject(AnyShard()),
    "limits": OnSubject(MergedDefinitions("limit_id")),
    "budgets": OnSubject(MergedDefinitions("budget_id")),
    "spike_alerts": SharedAndOwn(m.spike_alerts),
    "endpoints": Merged(
        m.grouped(
            ["name"],
            open_deliveries="sum",
            dead_deliveries="sum",
            oldest_open_at="min",
            failing_since="min",
            disabled_at="min",
            disabled_reason="min",
        )
    ),
    # -------------------------------------------------------------- questions about all subjects
    "totals": _pages("subject"),
    "subjects": Subjects(_pages("-last_activity_at", "subject")),
    "all_events": _pages("-event_id"),
    # A part of it may have moved: the copy that has all entries counts.
    "corrections": OnSubject(Merged(m.once("-correction_id", "-entries"), pages=True)),
    "statements": OnSubject(_pages("-statement_id")),
    "late_usage": OnSubject(OnId("statement_id", _pages("statement_id", "metric"))),
    "verify_statements": OnSubject(Merged(m.ordered("subject", "statement_id", "line"))),
    "admin_log": Merged(m.once("-entry_id"), pages=True),
    "overruns": OnSubject(_pages("metric", "subject", "limited_by", "period")),
    "notifications": OnSubject(If("newest_first", _pages("-notification_id"), _pages("notification_id"))),
    "reservations": OnSubject(_pages("-reservation_id")),
    "focus_charges": OnSubject(Merged(m.charges)),
    "deliveries": OnSubject(_pages("-delivery_id")),
    "verify": OnSubject(Merged(m.ordered("subject", "metric", "bucket", "bucket_start"))),
    "api_keys": Merged(m.ordered("key_id")),
    "health": Merged(m.health),
    "operational_metrics": Merged(m.metrics),
    # ------------------------------------------------------------ work that is due on every shard
    "rebuild": OnSubject(Merged(m.added)),
    **_all(
        Merged(m.added),
        """
        check_drift judge_projections judge_spikes
        plan_pushes release_pushes fail_pushes plan_deliveries release_deliveries
        """,
    ),
    "maintain": Merged(m.named("object")),
    "close_due": Merged(m.ordered("since", "subject")),
    "judge_budgets": Merged(m.budget_round),
    "claim_pushes": Taken("max_pushes"),
    "claim_deliveries": Taken("max_deliveries"),
    "retry_deliveries": OnId("delivery_id", Merged(m.added)),
    "test_endpoint": FirstShard(),
    # ------------------------------------------------------------------------------ reporting
    "report_subject": MapCustomer(),
    "customer_subjects": Merged(m.ordered("subject")),
    "preview_pushes": Merged(m.rows_of),
    "confirm_push": Merged(m.any_true),
    "resolve_push": Known("identifier"),
    "retry_pushes": Known("identifier", Merged(m.rows_of)),
    "leave_pushes": Known("identifier", Merged(m.rows_of)),
    "uncertain_hours": _pages("hour", "customer", "event_name"),
    **_all(OnCustomer(), "settle_hour reconcile_range"),
    "reconcilable_ranges": Merged(m.ranges, pages=True),
    "reconciliation": Merged(m.differences),
    "report_status": Merged(m.report_status),
    "report_journal": Merged(m.stopped_first),
    "adopt_journal": NotAcross("a journal is of one server."),
    "pushes": OnSubject(_pages("-push_id")),
    # ---------------------------------------------------------------------------------- the rest
    "authenticate": Known("credential"),
    **_all(
        NotAcross("every shard has months and files of its own."),
        "archive_rows archive_month archives stage_archive restore_archive",
    ),
    "shard_state": NotAcross("every shard has a state of its own."),
    "set_shard": NotAcross("every shard has a number of its own."),
    "moves": Merged(m.ordered("subject", "changed_at")),
    **_all(
        NotAcross("a move is of two shards: `pymeter shard move` calls both."),
        "close_home reopen_home leave_home expect_subject admit_subject",
    ),
}
