"""What the commands print: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from pymeter import Meter
from tests.helpers import Ledger

Run = Callable[..., Any]
JUNE = ("--since", "2026-06-01", "--until", "2026-07-01")


@pytest.fixture(autouse=True)
def usage(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token", name="Tokens")
    meter.define_metric("users", "unique", "user")
    for day, quantity in enumerate((1200, 34, Decimal("0.5")), start=1):
        meter.record(
            "acct_1",
            "tokens",
            quantity,
            at=datetime(2026, 6, day, 12, tzinfo=UTC),
            idempotency_key=f"req_{day}",
            metadata={"model": "large" if day == 1 else "small"},
        )
    meter.record("acct_1", "users", member="u1", at=datetime(2026, 6, 2, tzinfo=UTC))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_usage_has_separators_and_a_unit_for_people(pymeter: Run) -> None:
    ran = pymeter("usage", "acct_1", "tokens", *JUNE)
    assert ran.status == 0
    assert "1,234.5   token" in ran.out
    assert "2026-06-01 → 2026-07-01 UTC" in ran.out


def test_usage_is_exact_for_programs(pymeter: Run) -> None:
    assert pymeter("usage", "acct_1", "tokens", *JUNE, "--json").json == {
        "metric": "tokens",
        "quantity": "1234.5",
        "unit": "token",
        "aggregate": "sum",
        "event_count": 3,
        "since": "2026-06-01T00:00:00Z",
        "until": "2026-07-01T00:00:00Z",
        "has_data": True,
    }
    (row,) = rows(pymeter("usage", "acct_1", "tokens", *JUNE, "--csv").out)
    assert row["quantity"] == "1234.5"


def test_usage_is_grouped_by_a_field_of_the_metadata(pymeter: Run) -> None:
    groups = pymeter("usage", "acct_1", "tokens", *JUNE, "--by", "model", "--json").json
    assert {group["value"]: group["quantity"] for group in groups} == {"large": "1200", "small": "34.5"}
    assert "large" in pymeter("usage", "acct_1", "tokens", *JUNE, "--by", "model").out


def test_a_time_without_an_offset_is_in_the_given_zone(pymeter: Run) -> None:
    ran = pymeter("usage", "acct_1", "tokens", "--since", "2026-06-01", "-z", "America/New_York", "--json")
    assert ran.json["since"] == "2026-06-01T04:00:00Z"


def test_summary_lists_every_metric(pymeter: Run) -> None:
    assert [line["metric"] for line in pymeter("summary", "acct_1", *JUNE, "--json").json] == [
        "tokens",
        "users",
    ]
    assert [line["quantity"] for line in rows(pymeter("summary", "nobody", "--csv").out)] == ["0", "0"]
    assert "user (unique)" in pymeter("summary", "acct_1", *JUNE).out


def test_series_draws_a_chart(pymeter: Run) -> None:
    ran = pymeter("series", "acct_1", "tokens", "--since", "2026-06-01", "--until", "2026-06-05")
    assert "tokens of acct_1 in token per hour" in ran.out
    assert "1,200 │" in ran.out
    assert "█" in ran.out
    assert "96 buckets, 3 events; peak 1,200 token at 2026-06-01 12:00:00 UTC" in ran.out


def test_series_gives_its_buckets_to_programs(pymeter: Run) -> None:
    ran = pymeter(
        "series",
        "acct_1",
        "tokens",
        "--since",
        "2026-06-01",
        "--until",
        "2026-06-05",
        "--step",
        "day",
        "--json",
    )
    assert [bucket["quantity"] for bucket in ran.json] == ["1200", "34", "0.5", "0"]
    assert len(rows(pymeter("series", "acct_1", "tokens", *JUNE, "--csv").out)) == 30


def test_check_answers_with_its_exit_status(pymeter: Run) -> None:
    allowed = pymeter("check", "acct_1", "tokens", "2000", *JUNE)
    assert allowed.status == 0
    assert "allowed: 1,234.5 of 2,000 token used, 765.5 left" in allowed.out
    refused = pymeter("check", "acct_1", "tokens", "2000", "765.6", *JUNE)
    assert refused.status == 1
    assert "refused" in refused.out
    status = pymeter("check", "acct_1", "tokens", "10", *JUNE, "--json").json
    assert status["allowed"] is False
    assert (status["since"], status["until"]) == ("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z")


def test_totals_lists_all_subjects(pymeter: Run, meter: Meter) -> None:
    meter.record("acct_0", "tokens", 5, at=datetime(2026, 6, 9, tzinfo=UTC))
    assert pymeter("totals", "tokens", *JUNE, "--json").json == [
        {"subject": "acct_0", "quantity": "5", "event_count": 1},
        {"subject": "acct_1", "quantity": "1234.5", "event_count": 3},
    ]
    assert [row["quantity"] for row in rows(pymeter("totals", "tokens", *JUNE, "--csv").out)] == [
        "5",
        "1234.5",
    ]
    assert "1,234.5" in pymeter("totals", "tokens", *JUNE).out
    assert "no usage" in pymeter("totals", "tokens", "--until", "2020-01-01").out


def test_subjects_are_listed(pymeter: Run) -> None:
    assert pymeter("subjects", "--json").json == [
        {"subject": "acct_1", "last_activity_at": "2026-06-03T12:00:00Z"}
    ]
    assert "acct_1    2026-06-03 14:00:00" in pymeter("subjects", "-z", "Europe/Berlin").out


def test_events_explain_a_charge_and_are_paged(pymeter: Run) -> None:
    ran = pymeter("events", "acct_1", "-m", "tokens", "-n", "2")
    assert "req_3" in ran.out
    assert "model=small" in ran.out
    assert "req_1" not in ran.out
    last = pymeter("events", "acct_1", "-m", "tokens", "-n", "2", "--json").json[-1]["event_id"]
    assert f"--after-id {last}" in ran.out
    assert [
        row["idempotency_key"]
        for row in rows(pymeter("events", "acct_1", "-m", "tokens", "--after-id", str(last), "--csv").out)
    ] == ["req_1"]


def test_events_of_all_subjects_are_the_latest_recorded_first(pymeter: Run, meter: Meter) -> None:
    meter.record("acct_2", "tokens", 7, at=datetime(2026, 5, 1, tzinfo=UTC))
    ran = pymeter("events", "--all", "-n", "2")
    assert "subject" in ran.out
    assert "acct_2" in ran.out
    assert "req_3" not in ran.out
    page = pymeter("events", "--all", "-n", "2", "--json").json
    assert [(row["subject"], row["metric"]) for row in page] == [("acct_2", "tokens"), ("acct_1", "users")]
    last = str(page[-1]["event_id"])
    assert f"--after-id {last}" in ran.out
    older = rows(pymeter("events", "--all", "-m", "tokens", *JUNE, "--after-id", last, "--csv").out)
    assert [row["idempotency_key"] for row in older] == ["req_3", "req_2", "req_1"]


def test_events_are_of_a_subject_or_of_all(pymeter: Run) -> None:
    for wrong in ((), ("acct_1", "--all"), ("--all", "--as-of", "2026-06-01")):
        assert pymeter("events", *wrong).status == 2


def test_catalog_define_and_retire(pymeter: Run) -> None:
    assert pymeter("define", "seats", "last", "seat", "--period", "day", "--max-future", "7 days").status == 0
    minutes = pymeter("define", "seats", "last", "seat", "--rollup", "minute", "--json").json
    assert (minutes["rollup"], minutes["fine_bucket"]) == ("minute", "minute")
    metric = pymeter(
        "define", "seats", "last", "seat", "--period", "day", "--max-future", "7 days", "--json"
    ).json
    assert (metric["period"], metric["max_future"]) == ("day", "7 days, 0:00:00")
    assert pymeter("retire", "seats").status == 0
    assert [row["key"] for row in rows(pymeter("catalog", "--csv").out)] == ["seats", "tokens", "users"]
    assert "seats" in pymeter("catalog").out
    assert [row["key"] for row in pymeter("catalog", "seats", "--json").json] == ["seats"]
    assert "tokens" not in pymeter("catalog", "seats").out
    assert pymeter("catalog", "nothing").status == 1
    assert pymeter("record", "acct_1", "seats", "3").status == 1


def test_record_says_what_became_of_the_event(pymeter: Run) -> None:
    first = pymeter(
        "record", "acct_2", "tokens", "5.5", "--key", "k1", "--metadata", '{"price": 0.10}', "--json"
    )
    assert (first.status, first.json["outcome"], first.json["quantity"]) == (0, "recorded", "5.5")
    again = pymeter("record", "acct_2", "tokens", "5.5", "--key", "k1")
    assert (again.status, again.out.split(":")[0]) == (0, "✓ duplicate")
    conflict = pymeter("record", "acct_2", "tokens", "6", "--key", "k1")
    assert (conflict.status, conflict.out.split(":")[0]) == (1, "✗ conflict")
    (event,) = pymeter("events", "acct_2", "--json").json
    assert event["metadata"] == {"price": 0.10}


def test_a_negative_quantity_is_a_quantity_not_an_option(pymeter: Run, meter: Meter) -> None:
    meter.define_metric("balance", "last", "EUR")
    assert pymeter("record", "acct_1", "balance", "-12.5", "--json").json["quantity"] == "-12.5"


def test_global_options_may_stand_anywhere(pymeter: Run, meter_dsn: str) -> None:
    before = pymeter("--schema", "meter", "--dsn", meter_dsn, "catalog", "--json")
    behind = pymeter("catalog", "--json", "--schema=meter", "--dsn", meter_dsn)
    assert before.json == behind.json
    assert pymeter("usage", "psql", "tokens", "--dsn", meter_dsn).status == 0


def test_output_is_plain_when_it_goes_into_a_pipe(pymeter: Run) -> None:
    assert "\x1b" not in pymeter("usage", "acct_1", "tokens", *JUNE).out


def test_no_color_is_honoured(pymeter: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in pymeter("usage", "acct_1", "tokens", *JUNE).out
    monkeypatch.setenv("NO_COLOR", "1")
    out = pymeter("usage", "acct_1", "tokens", *JUNE).out
    assert "\x1b[36m" not in out
    assert "\x1b[1;36m" not in out


def test_text_that_looks_like_markup_is_printed_as_it_is(pymeter: Run, meter: Meter) -> None:
    meter.record("[red]acct[/red]", "tokens", 1, metadata={"[b]": "[/b]"})
    assert "[red]acct[/red]" in pymeter("subjects").out
    assert "[b]=[/b]" in pymeter("events", "[red]acct[/red]").out
    assert "[red]acct[/red]" in pymeter("usage", "[red]acct[/red]", "tokens").out


def test_verify_and_rebuild_find_and_repair_drift(pymeter: Run, meter_connection: Any) -> None:
    assert pymeter("verify").status == 0
    Ledger(meter_connection).forget("metric = 'tokens'")
    meter_connection.commit()
    drift = pymeter("verify")
    assert drift.status == 1
    assert "1,234.5" in drift.out
    assert {row["metric"] for row in pymeter("verify", "--json").json} == {"tokens"}
    assert pymeter("rebuild", "--json").json["written"] > 0
    assert pymeter("verify").status == 0


def test_verify_shows_metrics_that_the_catalog_does_not_have(pymeter: Run, meter_connection: Any) -> None:
    """As the function does: their rollups are explained by nothing."""
    meter_connection.execute("DELETE FROM meter.metrics WHERE key = 'tokens'")
    meter_connection.commit()
    drift = pymeter("verify", "--json")
    assert drift.status == 1
    (expected,) = meter_connection.execute("SELECT count(*) FROM meter.verify()").fetchone()
    assert [row["metric"] for row in drift.json] == ["tokens"] * expected
    assert "not in the catalog: tokens" in pymeter("verify").out


def test_maintain_is_idempotent(pymeter: Run) -> None:
    pymeter("maintain")
    ran = pymeter("maintain")
    assert (ran.status, ran.out) == (0, "✓ nothing to do\n")


def test_maintain_drops_what_is_not_to_be_kept_and_says_no_where_it_had_to_keep_it(
    pymeter: Run, meter_connection: psycopg.Connection[Any]
) -> None:
    for month in ("2024-01", "2024-02"):
        pymeter("record", "acct_1", "tokens", "1", "--at", f"{month}-15")
    pymeter("maintain")
    meter_connection.execute("UPDATE meter.rollups SET total = 9 WHERE bucket_start = '2024-01-01Z'")
    meter_connection.commit()
    ran = pymeter("maintain", "--keep", "13 months")
    assert ran.status == 1
    assert ran.out == (
        "✗ kept partition events_2024_01: 1 rollup differs from the log; run rebuild()\n"
        "✓ dropped partition events_2024_02\n"
    )
    pymeter("rebuild")
    ran = pymeter("maintain", "--keep", "13 months", "--detach", "--json")
    assert (ran.status, ran.json) == (
        0,
        [{"action": "detached partition", "object": "events_2024_01 as events_2024_01_detached"}],
    )
    for keep in ("13", "long", "-1 year"):
        ran = pymeter("maintain", "--keep", keep)
        assert (ran.status, ran.out) == (2, "")
    assert "13 months, 90 days or 1 year" in pymeter("maintain", "--keep", "13 monts").err


def test_export_can_be_imported_again(pymeter: Run, meter_dsn: str) -> None:
    assert pymeter("migrate", "--schema", "copy").status == 0
    for key, aggregate in (("tokens", "sum"), ("users", "unique")):
        pymeter("define", key, aggregate, "x", "--schema", "copy")
    for name in ("all.csv", "all.jsonl.gz"):
        assert pymeter("export", "--all", "-o", name).status == 0
        ran = pymeter("import", name, "--schema", "copy", "--json")
        assert (ran.status, ran.json["rejected"], ran.json["lines"]) == (0, 0, 4)
    assert (
        pymeter("usage", "acct_1", "tokens", *JUNE, "--schema", "copy", "--json").json["quantity"] == "1234.5"
    )
    assert pymeter("export", "acct_1", "-m", "users").out.count("\n") == 2
    assert json.loads(pymeter("export", "acct_1", "-m", "users", "--jsonl").out)["member"] == "u1"


def test_migrate_and_status_speak_of_the_schema(pymeter: Run) -> None:
    missing = pymeter("status", "--schema", "second")
    assert missing.status == 1
    assert "not installed" in missing.out
    assert pymeter("migrate", "--schema", "second", "--json").json["changed"] is True
    assert "nothing to do" in pymeter("migrate", "--schema", "second").out
    assert pymeter("status", "--schema", "second", "--json").json["up_to_date"] is True


def test_status_names_the_schema_to_migrate(pymeter: Run) -> None:
    assert "run: pymeter migrate --schema other" in pymeter("status", "--schema", "other").out
    pymeter("migrate", "--schema", "other")
    assert "up to date" in pymeter("status", "--schema", "other").out


def test_sql_prints_the_installation(pymeter: Run, tmp_path: Any) -> None:
    ran = pymeter("sql", "--schema", "third")
    assert "CREATE SCHEMA" in ran.out.upper()
    assert ran.out.rstrip().endswith("COMMIT;")
    assert pymeter("sql", "--schema", "third", "-o", "install.sql").status == 0
    assert (tmp_path / "install.sql").read_text() == ran.out
