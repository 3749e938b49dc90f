"""Meter and AsyncMeter have the same methods, which are exactly the public SQL functions."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

import pymeter
from pymeter import calls, models
from pymeter.async_client import AsyncMeter
from pymeter.client import Meter
from tests.client import generate

METHODS = sorted(name for name, call in vars(calls).items() if inspect.isfunction(call))
# `access` is a group of calls, which can be called itself.
FLAT = [name for name in METHODS if name != "access"]
ITERATORS = ["iter_all_events", "iter_events", "iter_subjects", "iter_totals"]
BLOCKS = {"reserved"}


@pytest.fixture
def db(module_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """What is installed."""
    with psycopg.connect(module_dsn) as connection:
        yield connection


def public_functions() -> dict[str, set[str]]:
    """The SQL functions of each folder that users may call."""
    root = Path(pymeter.__file__).parent
    sql = next(path for path in (root / "sql", root.parent / "sql") if path.is_dir())
    return {
        folder.name: functions
        for folder in sql.iterdir()
        if folder.is_dir() and (functions := {path.stem for path in folder.glob("[!_]*.sql")})
    }


def test_the_calls_of_a_folder_of_sql_are_in_the_module_of_its_name() -> None:
    modules = {path.stem for path in Path(calls.__file__).parent.glob("*_calls*")}
    assert modules == {f"{folder}_calls" for folder in public_functions()}
    for folder, functions in public_functions().items():
        module = import_module(f"pymeter.calls.{folder}_calls")
        defined = {
            name: call
            for name, call in vars(module).items()
            if inspect.isfunction(call)
            and call.__module__.startswith(module.__name__)
            and not name.startswith("_")
        }
        assert set(defined) == functions
        assert all(getattr(calls, name) is call for name, call in defined.items())


def test_every_public_sql_function_is_a_method_and_nothing_else_is() -> None:
    assert set(METHODS) == set().union(*public_functions().values())
    assert set(calls.__all__) == {*METHODS, "Call"}
    for kind in (Meter, AsyncMeter):
        found = {name for name in dir(kind) if not name.startswith("_")}
        assert found == {*METHODS, *ITERATORS, *BLOCKS, "reporting", "for_subject"}


@pytest.mark.parametrize("name", [*FLAT, "__init__", *ITERATORS])
def test_signatures_are_equal(name: str) -> None:
    def shape(kind: type) -> list[tuple[Any, ...]]:
        parameters = inspect.signature(getattr(kind, name)).parameters.values()
        return [
            (p.name, p.kind, p.default, None if p.name == "connection_or_pool" else p.annotation)
            for p in parameters
        ]

    assert shape(Meter) == shape(AsyncMeter)


@pytest.mark.parametrize("name", FLAT)
def test_methods_have_the_types_and_documentation_of_their_call(name: str) -> None:
    call = getattr(calls, name)
    returns = typing.get_args(typing.get_type_hints(call)["return"])[0]
    for kind in (Meter, AsyncMeter):
        method = getattr(kind, name)
        assert inspect.getdoc(method) == inspect.getdoc(call)
        assert typing.get_type_hints(method)["return"] == returns
        assert list(inspect.signature(method).parameters)[1:] == list(inspect.signature(call).parameters)
    assert inspect.iscoroutinefunction(getattr(AsyncMeter, name))


def test_the_methods_are_what_the_generator_writes() -> None:
    for file, is_async in (("_methods.py", False), ("_async_methods.py", True)):
        written = (Path(pymeter.__file__).parent / file).read_text(encoding="utf-8")
        assert written == generate.render(is_async=is_async), generate.COMMAND


@pytest.mark.parametrize("kind", [Meter, AsyncMeter])
def test_groups_of_calls_have_the_names_of_the_flat_ones(kind: type) -> None:
    prefix = "Async" if kind is AsyncMeter else ""
    module = importlib.import_module(f"pymeter._{prefix.lower()}{'_' if prefix else ''}methods")
    by_folder = public_functions()
    assert _public(getattr(module, f"{prefix}Reporting")) == by_folder["report"]
    assert _public(getattr(module, f"{prefix}Access")) == {"grant", "revoke"}
    own = {name.removeprefix("own_") for name in by_folder["own"]}
    assert _public(getattr(module, f"{prefix}SubjectReads")) == own


def _public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


@pytest.mark.parametrize("name", METHODS)
def test_parameters_are_those_of_the_installed_function(db: psycopg.Connection[Any], name: str) -> None:
    rows = db.execute(
        "SELECT proargnames[:pronargs], pronargs - pronargdefaults, oid FROM pg_proc"
        " WHERE proname = %s AND pronamespace = 'meter'::regnamespace",
        (name,),
    ).fetchall()
    assert len(rows) == 1, "one signature, no overloads"
    names, required, oid = rows[0]
    parameters = list(inspect.signature(getattr(calls, name)).parameters.values())
    assert sorted(p.name for p in parameters) == sorted(names or [])
    assert {p.name for p in parameters if p.default is p.empty} == set((names or [])[:required])
    for position, parameter_name in enumerate(names or [], start=1):
        default = db.execute("SELECT pg_get_function_arg_default(%s::oid, %s)", (oid, position)).fetchone()
        python = next(p.default for p in parameters if p.name == parameter_name)
        if isinstance(python, str | int):
            assert default is not None
            assert default[0] in (f"'{python}'::text", str(python).lower()), parameter_name


MODELS: dict[str, type[BaseModel]] = {
    "define_metric": models.Metric,
    "catalog": models.Metric,
    "metric": models.Metric,
    "record": models.Recorded,
    "record_batch": models.BatchOutcome,
    "known_events": models.BatchOutcome,
    "usage": models.UsageTotal,
    "summary": models.UsageTotal,
    "series": models.UsageBucket,
    "usage_by": models.UsageGroup,
    "check_quota": models.QuotaStatus,
    "totals": models.SubjectTotal,
    "subjects": models.SubjectActivity,
    "events": models.Event,
    "all_events": models.Event,
    "verify": models.Drift,
    "maintain": models.MaintenanceAction,
    "health": models.Health,
    "operational_metrics": models.OperationalMetric,
    "access": models.AccessRight,
    "settings": models.Setting,
    "set_setting": models.Setting,
    "admin_log": models.AdminEntry,
    "set_billing_cycle": models.BillingCycle,
    "define_plan": models.Plan,
    "create_api_key": models.NewApiKey,
    "revoke_api_key": models.ApiKey,
    "api_keys": models.ApiKey,
    "authenticate": models.Authentication,
    "plans": models.Plan,
    "subscribe": models.Subscription,
    "unsubscribe": models.Subscription,
    "subscriptions": models.Subscription,
    "set_limit": models.Limit,
    "remove_limit": models.Limit,
    "limits": models.Limit,
    "effective_limits": models.EffectiveLimit,
    "own_limits": models.EffectiveLimit,
    "own_check_quota": models.QuotaStatus,
    "top_up": models.TopUp,
    "void_top_up": models.TopUp,
    "top_ups": models.ActiveTopUp,
    "balance": models.Balance,
    "own_balance": models.Balance,
    "void_event": models.Corrected,
    "amend_event": models.Corrected,
    "adjust": models.Corrected,
    "preview_correction": models.CorrectionEffect,
    "approve_correction": models.CorrectionEffect,
    "corrections": models.Correction,
    "correction_entries": models.CorrectionEntry,
    "close_period": models.StatementHeader,
    "close_due": models.Closing,
    "statements": models.StatementHeader,
    "statement": models.StatementLine,
    "verify_statements": models.StatementProblem,
    "late_usage": models.LateUsage,
    "settle_late_usage": models.LateSettlement,
    "what_changed": models.Event,
    "notifications": models.Notification,
    "overruns": models.Overrun,
    "rate": models.RatedLine,
    "define_price": models.PlanPrice,
    "retire_price": models.PlanPrice,
    "prices": models.PlanPrice,
    "set_plan_minimum": models.PlanMinimum,
    "plan_minimums": models.PlanMinimum,
    "compare_plans": models.PlanComparison,
    "focus_charges": models.FocusCharge,
    "invoice": models.InvoiceLine,
    "own_invoice": models.InvoiceLine,
    "grant_credit": models.Credit,
    "void_credit": models.Credit,
    "credits": models.Credit,
    "own_credits": models.Credit,
    "own_statements": models.StatementHeader,
    "own_statement": models.StatementLine,
    "set_tax": models.Tax,
    "taxes": models.Tax,
    "set_budget": models.Budget,
    "remove_budget": models.Budget,
    "budgets": models.Budget,
    "budget_status": models.BudgetStatus,
    "own_budget_status": models.BudgetStatus,
    "judge_budgets": models.BudgetRound,
    "project_usage": models.UsageProjection,
    "own_project_usage": models.UsageProjection,
    "project_invoice": models.InvoiceProjection,
    "own_project_invoice": models.InvoiceProjection,
    "reserve": models.Reserved,
    "reserve_batch": models.ReservedInBatch,
    "settle": models.Recorded,
    "release": models.Reserved,
    "extend": models.Reserved,
    "reservations": models.Reservation,
    "define_endpoint": models.Endpoint,
    "endpoints": models.EndpointStatus,
    "test_endpoint": models.Delivery,
    "remove_endpoint": models.Endpoint,
    "deliveries": models.Delivery,
    "claim_deliveries": models.ClaimedDelivery,
    "settle_deliveries": models.SettledDelivery,
    "set_spike_alert": models.SpikeAlert,
    "spike_alerts": models.SpikeAlert,
    "remove_spike_alert": models.SpikeAlert,
    "define_biller": models.Biller,
    "report_metric": models.MetricMapping,
    "report_subject": models.SubjectMapping,
    "billers": models.Biller,
    "report_mappings": models.MetricMapping,
    "preview_pushes": models.PlannedPush,
    "claim_pushes": models.ClaimedPush,
    "settle_pushes": models.SettledPush,
    "uncertain_hours": models.UncertainHour,
    "settle_hour": models.SettledHour,
    "resolve_push": models.Push,
    "retry_pushes": models.Push,
    "leave_pushes": models.Push,
    "reconcilable_ranges": models.ReconcilableRange,
    "reconcile_range": models.Reconciliation,
    "reconciliation": models.Reconciliation,
    "report_status": models.PushStatus,
    "report_journal": models.ReportJournal,
    "adopt_journal": models.ReportJournal,
    "pushes": models.Push,
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_fields_are_the_columns_of_the_result(db: psycopg.Connection[Any], name: str) -> None:
    columns = db.execute(
        "SELECT attname FROM pg_attribute"
        " JOIN pg_type ON typrelid = attrelid JOIN pg_proc ON prorettype = pg_type.oid"
        " WHERE proname = %s AND pronamespace = 'meter'::regnamespace AND attnum > 0 AND NOT attisdropped",
        (name,),
    ).fetchall()
    assert {column for (column,) in columns} == set(MODELS[name].model_fields)


def test_new_event_has_the_parameters_of_record() -> None:
    """But for what is said of a whole call: how much of the result is wanted, and what is not recorded."""
    of_call = ["total", "overflow", "strict"]
    assert [*models.NewEvent.model_fields, *of_call] == list(inspect.signature(calls.record).parameters)


@pytest.mark.parametrize("model", [*dict.fromkeys(MODELS.values()), models.NewEvent, models.Window])
def test_models_are_frozen(model: type[BaseModel]) -> None:
    assert model.model_config["frozen"] is True
