"""Reporting usage to a biller: sql/report/."""

from __future__ import annotations

from pymeter.calls.report_calls.deciding import (
    fail_pushes,
    leave_pushes,
    resolve_push,
    retry_pushes,
    settle_hour,
    uncertain_hours,
)
from pymeter.calls.report_calls.journal import adopt_journal, pushes, report_journal, report_status
from pymeter.calls.report_calls.mapping import (
    billers,
    customer_subjects,
    define_biller,
    report_mappings,
    report_metric,
    report_subject,
)
from pymeter.calls.report_calls.planning import plan_pushes, preview_pushes
from pymeter.calls.report_calls.reconciling import reconcilable_ranges, reconcile_range, reconciliation
from pymeter.calls.report_calls.sending import claim_pushes, confirm_push, release_pushes, settle_pushes

__all__ = [
    "adopt_journal",
    "billers",
    "claim_pushes",
    "confirm_push",
    "customer_subjects",
    "define_biller",
    "fail_pushes",
    "leave_pushes",
    "plan_pushes",
    "preview_pushes",
    "pushes",
    "reconcilable_ranges",
    "reconcile_range",
    "reconciliation",
    "release_pushes",
    "report_journal",
    "report_mappings",
    "report_metric",
    "report_status",
    "report_subject",
    "resolve_push",
    "retry_pushes",
    "settle_hour",
    "settle_pushes",
    "uncertain_hours",
]
