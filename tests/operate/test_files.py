"""pymeter/operate/: alert rules, dashboard, sql_exporter, units, crontab and runbook fit the meter."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import typer.main
import yaml
from typer.testing import CliRunner

import pymeter.operate
from pymeter.cli.app import app
from pymeter.operate import file_names, read_file
from tests.access.conftest import Roles, roles
from tests.helpers import Ledger

__all__ = ["roles"]

FOLDER = Path(pymeter.operate.__file__).parent
SQL = Path(__file__).resolve().parents[2] / "sql"
CASES = Path(__file__).with_name("alerts_test.yml")
RULES = [rule for group in yaml.safe_load(read_file("alerts.yml"))["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES}
UNITS = [name for name in file_names() if name.endswith((".service", ".timer"))]


@pytest.fixture
def names(ledger: Ledger) -> set[str]:
    """The names of operational_metrics(), also of those without a row now."""
    return {row.name for row in ledger.rows("SELECT name FROM meter._metric_names()")}


def test_every_file_is_listed_and_can_be_shown() -> None:
    assert sorted(file_names()) == sorted(path.name for path in (FOLDER / "carried").iterdir())
    listed = CliRunner().invoke(app, ["operate", "list", "--json"])
    assert [row["name"] for row in json.loads(listed.stdout)] == file_names()
    for name in file_names():
        shown = CliRunner().invoke(app, ["operate", "show", name])
        assert (shown.exit_code, shown.stdout) == (0, read_file(name))
    assert CliRunner().invoke(app, ["operate", "show", "../README.md"]).exit_code != 0


# ---------------------------------------------------------------------------------------------- alert rules


def selected(expression: Any) -> set[str]:
    """The names of the series that an expression of PromQL selects."""
    if isinstance(expression, promql_parser.VectorSelector):
        return {expression.name}
    parts = [getattr(expression, part, None) for part in ("lhs", "rhs", "expr", "vector_selector", "param")]
    parts += list(getattr(expression, "args", None) or [])
    return set().union(*(selected(part) for part in parts if part is not None))


def test_rules_select_series_that_there_are(names: set[str]) -> None:
    for alert, rule in ALERTS.items():
        series = selected(promql_parser.parse(rule["expr"]))
        assert series, alert
        assert series <= names, alert
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_every_alert_has_a_case_that_fires_it_and_one_that_does_not() -> None:
    checks = [
        check for case in yaml.safe_load(CASES.read_text())["tests"] for check in case["alert_rule_test"]
    ]
    assert {check["alertname"] for check in checks if check["exp_alerts"]} == set(ALERTS)
    assert {check["alertname"] for check in checks if not check["exp_alerts"]} == set(ALERTS)


def test_promtool_sees_every_alert_fire_in_its_case_only(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on the PATH (Debian: prometheus)")
    (tmp_path / "alerts.yml").write_text(read_file("alerts.yml"))
    shutil.copy(CASES, tmp_path)
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", CASES.name]):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


# -------------------------------------------------------------------------------- what asks the database


def dashboard_queries() -> dict[str, str]:
    dashboard = json.loads(read_file("dashboard.json"))
    variables = {v["name"]: v["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"}
    return variables | {
        panel["title"]: target["rawSql"] for panel in dashboard["panels"] for target in panel["targets"]
    }


def as_grafana_sends_it(query: str, window: tuple[str, str] = ("2026-06-01Z", "2026-07-01Z")) -> str:
    for macro, text in zip(("From", "To"), window, strict=True):
        query = query.replace(f"$__time{macro}()", f"'{text}'")
    return query.replace("$subject", "acct_1").replace("$metric", "tokens")


def test_the_dashboard_asks_with_the_level_read(ledger: Ledger, roles: Roles, names: set[str]) -> None:
    ledger.define("tokens", "sum")
    ledger.record("acct_1", "tokens", 120, at="2026-06-18T12:00Z")
    reader = roles.as_("read")
    queries = dashboard_queries()
    found = {title: reader.rows(as_grafana_sends_it(query)) for title, query in queries.items()}
    assert [row.subject for row in found["Usage of $metric by subject"]] == ["acct_1"]
    assert sum(row.value or 0 for row in found["Usage of $subject"]) == 120
    assert set(re.findall(r"pymeter_\w+", " ".join(queries.values()))) <= names
    assert any("$__timeFrom()" in query for query in queries.values())
    assert not re.search(r"\$(?!__time(From|To)\(\)|subject\b|metric\b)", " ".join(queries.values()))


def test_lists_show_the_newest_however_many_came_before(ledger: Ledger, roles: Roles) -> None:
    """notifications() begins with the oldest, and a page of it has 100."""
    for number in range(101):
        ledger.define(f"m{number}", "sum")
    ledger.call("set_limit", metric="m0", quota=1, action="block", subject="last")
    ledger.record("last", "m0", 2)
    reader = roles.as_("read")
    query = dashboard_queries()["Notifications"]
    shown = reader.rows(as_grafana_sends_it(query, ("2026-01-01Z", "9999-01-01Z")))
    assert (shown[0].type, shown[0].subject) == ("limit.refused", "last")
    seen = re.search(r"```sql\n(.+?)```", sections()["PymeterLimitRefuses"], re.DOTALL)
    assert seen is not None
    for number in range(21):
        ledger.record(f"first_{number}", "m0", 1)
    ledger.call("set_limit", metric="m0", quota=0, action="block")
    for subject in [f"first_{number}" for number in range(21)]:
        ledger.record(subject, "m0", 1)
    assert reader.rows(seen[1])[0].subject == "first_20"


def test_no_panel_covers_another() -> None:
    cells = [
        (x, y)
        for panel in json.loads(read_file("dashboard.json"))["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_sql_exporter_has_the_same_numbers(ledger: Ledger, roles: Roles) -> None:
    ledger.define("tokens", "sum")
    ledger.record("acct_1", "tokens", 120)
    ledger.call("check_drift")
    reader = roles.as_("read")
    (collector,) = yaml.safe_load(read_file("sql_exporter.yml"))["collectors"]
    (query,) = collector["queries"]
    rows = {query["query_name"]: reader.rows(query["query"])}  # one call for a scrape
    exported = {
        (metric["metric_name"], metric["type"], *(getattr(row, key) for key in metric.get("key_labels", [])))
        for metric in collector["metrics"]
        for row in rows[metric["query_ref"]]
        if getattr(row, metric["values"][0]) is not None
    }
    assert exported == {
        (row.name, row.type, *row.labels.values()) for row in reader.call("operational_metrics")
    }
    helps = {row.name: row.help for row in ledger.rows("SELECT name, help FROM meter._metric_names()")}
    assert {metric["metric_name"]: metric["help"] for metric in collector["metrics"]} == helps


# ------------------------------------------------------------------------------------- units and crontab


def command_lines() -> list[str]:
    lines = [line for name in UNITS for line in read_file(name).splitlines()]
    lines = [line.removeprefix("ExecStart=/usr/bin/env ") for line in lines if line.startswith("ExecStart=")]
    jobs = [line for line in read_file("crontab").splitlines() if re.match(r"[0-9*]", line)]
    return lines + [" ".join(job.split()[5:]).removesuffix(" >/dev/null") for job in jobs]


@pytest.mark.parametrize("line", command_lines())
def test_command_lines_are_commands(line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "pymeter"
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    command.make_context("pymeter", words)


def test_units_and_crontab_run_the_same_jobs() -> None:
    """But for the server, which cron cannot keep."""
    lines = [re.sub(r"--(once|watch|(metrics-)?port \d+)", "", line).strip() for line in command_lines()]
    assert lines.count("pymeter web") == 1
    jobs = {line for line in lines if line != "pymeter web"}
    assert jobs == {
        *("pymeter maintain", "pymeter close", "pymeter operate check-drift"),
        *("pymeter notify", "pymeter report"),
    }
    assert len(lines) == 2 * len(jobs) + 1
    for name in UNITS:
        if name.endswith(".timer"):
            assert name.replace(".timer", ".service") in UNITS


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on the PATH")
    for name in UNITS:
        (tmp_path / name).write_text(read_file(name))
    done = subprocess.run(
        [analyze, "verify", *(str(tmp_path / name) for name in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "pymeter" in done.stderr) == (0, False), done.stderr


# ----------------------------------------------------------------------------------------------- runbook


def sections() -> dict[str, str]:
    text = (FOLDER / "README.md").read_text(encoding="utf-8").partition("## Runbook\n")[2]
    parts = re.split(r"^### (.+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def problem_texts() -> set[str]:
    """What health() may say is a problem, from its source; what varies is an ellipsis."""
    health = (SQL / "operate/health.sql").read_text()
    sources = [health.partition("v_health.problems :=")[2].partition("v_health.notices")[0]]
    for file, function in re.findall(r"(\S+):(\S+)", " ".join(_PROBLEMS)):
        body = (SQL / file).read_text().partition(f"function {function}(")[2]
        sources.append(body.partition("$$")[2].partition("$$")[0])
    literals = [found for source in sources for found in re.findall(r"(\w*)\s*'((?:[^']|'')*)'", source)]
    return {
        text.replace("%s", "...")
        for before, text in literals
        if " " in text.strip(" ,") and before != "interval"
    }


_PROBLEMS = (
    "access/_callers.sql:_rights_problems",
    "notify/_notify_health.sql:_delivery_problems",
    "close/_closing_health.sql:_closing_problems",
    "budgets/_judging_health.sql:_judging_problems",
    "scale/_shard_ids.sql:_shard_problems",
    "scale/_moving_problems.sql:_moving_problems",
)


def test_every_alert_and_every_problem_has_its_section() -> None:
    runbook = sections()
    assert set(ALERTS) <= set(runbook)
    assert len(problem_texts()) >= 9
    told = re.findall(r"^Problem: (.+)$", "\n".join(runbook.values()), re.MULTILINE)
    assert sorted(told) == sorted(problem_texts())
    assert [title for title in runbook if title.startswith("Pymeter") and title not in ALERTS] == []
    assert set(re.findall(r"array\(select (\w+_problems)\(", (SQL / "operate/health.sql").read_text())) | {
        "_rights_problems"
    } == {one.partition(":")[2] for one in _PROBLEMS}


@pytest.mark.parametrize("title", sections())
def test_a_section_says_what_it_means_how_to_see_it_what_to_do_and_what_not(title: str) -> None:
    section = sections()[title]
    words = re.findall(r"^\*\*(Means|See|Do|Not)\b", section, re.MULTILINE)
    assert words == ["Means", "See", "Do", "Not"]
    assert section.count("```sql\n") == 1
