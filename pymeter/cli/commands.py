"""The commands that do what functions do: the database's hints name functions."""

from __future__ import annotations

import re

_COMMANDS = {
    "adjust": "adjust",
    "adopt_journal": "report adopt",
    "api_keys": "key list",
    "amend_event": "amend",
    "archives": "archive list",
    "approve_correction": "correction approve",
    "budget_status": "budget status",
    "budgets": "budget list",
    "catalog": "catalog",
    "check_drift": "operate check-drift",
    "correction_entries": "correction show",
    "close_due": "close",
    "close_period": "close",
    "corrections": "correction list",
    "define_endpoint": "endpoint define",
    "define_metric": "define",
    "define_plan": "plan define",
    "define_price": "price define",
    "create_api_key": "key create",
    "credits": "credit list",
    "deliveries": "deliveries",
    "endpoints": "endpoint list",
    "erase_subject": "erase",
    "events": "events",
    "focus_charges": "focus",
    "late_usage": "late",
    "limits": "limit list",
    "maintain": "maintain",
    "open_correction": "correction open",
    "plans": "plan list",
    "prices": "price list",
    "pushes": "report pushes",
    "rebuild": "rebuild",
    "resolve_push": "report resolve",
    "retry_deliveries": "endpoint retry",
    "retry_pushes": "report retry",
    "retire_price": "price retire",
    "revoke_api_key": "key revoke",
    "revert_correction": "correction revert",
    "remove_budget": "budget remove",
    "set_budget": "budget set",
    "set_limit": "limit set",
    "set_setting": "settings set",
    "settings": "settings list",
    "settle_late_usage": "late --settle",
    "compare_plans": "compare",
    "simulate": "simulate",
    "spike_alerts": "spike list",
    "stage_correction": "correction stage",
    "statements": "statement",
    "subscriptions": "subscriptions",
    "top_up": "top-up add",
    "top_ups": "top-up list",
    "unsubscribe": "unsubscribe",
    "verify_statements": "verify",
    "void_credit": "credit void",
    "void_event": "void",
    "void_top_up": "top-up void",
}
_CALL = re.compile(rf"(?<![\w.])({'|'.join(_COMMANDS)})\((?:(\w+) => '(\w+)')?\)")


def as_commands(text: str) -> str:
    """The text with `pymeter endpoint list` for endpoints(), wherever there is such a command.

    What the text passes to the function becomes an option: deliveries(state => 'dead').
    """
    return _CALL.sub(_command, text)


def _command(call: re.Match[str]) -> str:
    option = f" --{call[2]} {call[3]}" if call[2] else ""
    return f"`pymeter {_COMMANDS[call[1]]}{option}`"
