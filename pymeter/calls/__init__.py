"""Every call that the clients can make, once: its Python signature, its documentation, its SQL and its
result.

Each function here is pure: it checks what only Python can check (a float, a time without a zone, a lone
surrogate), and returns a :class:`Call`. The clients bind these functions as methods and do the I/O. All
other rules are in SQL.

An optional argument left at None is not sent, so that the SQL function's own default applies.

The calls of ``sql/<folder>/`` are in ``<folder>_calls``; what they are made of in ``argument.py``,
``result.py`` and ``call.py``.
"""

from __future__ import annotations

from pymeter.calls.access_calls import access, grant_access, revoke_access
from pymeter.calls.call import Call
from pymeter.calls.catalog_calls import catalog, define_metric, retire_metric
from pymeter.calls.limits_calls import (
    admin_log,
    billing_cycle,
    define_plan,
    effective_limits,
    limits,
    notifications,
    overruns,
    plans,
    remove_limit,
    set_billing_cycle,
    set_limit,
    set_setting,
    settings,
    subscribe,
    subscriptions,
    unsubscribe,
)
from pymeter.calls.operate_calls import health, maintain
from pymeter.calls.own_calls import (
    own_check_quota,
    own_events,
    own_limits,
    own_series,
    own_summary,
    own_usage,
    own_usage_by,
)
from pymeter.calls.record_calls import known_events, record, record_batch
from pymeter.calls.repair_calls import rebuild, verify
from pymeter.calls.report_calls import (
    adopt_journal,
    claim_pushes,
    confirm_push,
    define_biller,
    fail_pushes,
    leave_pushes,
    plan_pushes,
    preview_pushes,
    pushes,
    reconcilable_ranges,
    reconcile_range,
    reconciliation,
    release_pushes,
    report_journal,
    report_mappings,
    report_metric,
    report_status,
    report_subject,
    resolve_push,
    retry_pushes,
    settle_hour,
    settle_pushes,
    uncertain_hours,
)
from pymeter.calls.usage_calls import (
    check_quota,
    events,
    resolve_window,
    series,
    subjects,
    summary,
    totals,
    usage,
    usage_by,
)

__all__ = [
    "Call",
    "access",
    "admin_log",
    "adopt_journal",
    "billing_cycle",
    "catalog",
    "check_quota",
    "claim_pushes",
    "confirm_push",
    "define_biller",
    "define_metric",
    "define_plan",
    "effective_limits",
    "events",
    "fail_pushes",
    "grant_access",
    "health",
    "known_events",
    "leave_pushes",
    "limits",
    "maintain",
    "notifications",
    "overruns",
    "own_check_quota",
    "own_events",
    "own_limits",
    "own_series",
    "own_summary",
    "own_usage",
    "own_usage_by",
    "plan_pushes",
    "plans",
    "preview_pushes",
    "pushes",
    "rebuild",
    "reconcilable_ranges",
    "reconcile_range",
    "reconciliation",
    "record",
    "record_batch",
    "release_pushes",
    "remove_limit",
    "report_journal",
    "report_mappings",
    "report_metric",
    "report_status",
    "report_subject",
    "resolve_push",
    "resolve_window",
    "retire_metric",
    "retry_pushes",
    "revoke_access",
    "series",
    "set_billing_cycle",
    "set_limit",
    "set_setting",
    "settings",
    "settle_hour",
    "settle_pushes",
    "subjects",
    "subscribe",
    "subscriptions",
    "summary",
    "totals",
    "uncertain_hours",
    "unsubscribe",
    "usage",
    "usage_by",
    "verify",
]
