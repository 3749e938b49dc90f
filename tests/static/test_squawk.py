"""Migrations lock no table for long and can be applied while the application runs: squawk's rules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.static.programs import MIGRATIONS, program

# rule -> why it does not apply to any migration
EXEMPT = {
    "require-lock-timeout": "the installer sets one for the whole transaction",
    "require-statement-timeout": "a migration is one transaction, rolled back if its locks cannot be had",
}
# (migration, rule) -> why it does not apply to this one
EXEMPT_HERE = {
    ("0001-catalog", "prefer-bigint-over-int"): "how often a definition has changed",
    **{
        (migration, "prefer-bigint-over-int"): "a series_id; two billion subjects and metrics are enough"
        for migration in ("0002-log", "0003-series", "0004-members", "0005-retention")
    },
    ("0003-series", "prefer-bigint-over-smallint"): "a stripe is a number below 65",
    **{(migration, "prefer-bigint-over-int"): "a priority" for migration in ("0011-top-ups", "0017-credits")},
    ("0007-reporting", "prefer-bigint-over-int"): "a series_id, and counts of digits and of attempts",
    ("0012-deliveries", "prefer-bigint-over-int"): "counts of attempts, and the status of an answer",
    ("0013-corrections", "prefer-bigint-over-int"): "a series_id, and the ordinal of an entry",
    ("0013-corrections", "prefer-bigint-over-smallint"): "-1, 0 or 1",
    ("0012-deliveries", "require-concurrent-index-creation"): "its table is new in the same release",
    ("0013-corrections", "ban-drop-constraint"): "the one after it allows a word more",
    ("0013-corrections", "constraint-missing-not-valid"): "its table has a row for each granted level",
    ("0014-closing", "prefer-bigint-over-int"): "a series_id, a subject_id, and the position of a line",
    ("0014-closing", "prefer-bigint-over-smallint"): "the version of a text",
    ("0014-closing", "constraint-missing-not-valid"): "its table has a row for each metric",
    ("0016-invoices", "prefer-bigint-over-int"): "the number of a tier",
    ("0016-invoices", "ban-drop-constraint"): "the one after it allows more words",
    ("0016-invoices", "ban-drop-not-null"): "lines of fees and totals have no quantity of a metric",
    ("0016-invoices", "constraint-missing-not-valid"): "its table has some lines a subject and month",
    ("0023-invoice-items", "prefer-bigint-over-int"): "a subject_id, and the position of a line",
    ("0023-invoice-items", "constraint-missing-not-valid"): "its table has a row for each biller",
    ("0023-invoice-items", "require-concurrent-index-creation"): "reporters wait for it, recording does not",
    ("0026-shards", "prefer-bigint-over-int"): "the number of a shard, below 1,024",
    ("0028-archives", "prefer-bigint-over-int"): "a series_id",
    ("0028-archives", "prefer-bigint-over-smallint"): "-1, 0 or 1",
    **{
        ("0028-archives", rule): "members of dropped months; only maintain() and verify() use them"
        for rule in (
            "adding-serial-primary-key-field",
            "constraint-missing-not-valid",
            "ban-drop-constraint",
        )
    },
    ("0024-api-keys", "ban-drop-constraint"): "it is added again, with two levels more",
    ("0024-api-keys", "constraint-missing-not-valid"): "its table has a row for each grant",
    ("0021-projected-marks", "ban-drop-constraint"): "the one after it allows a word more",
    ("0021-projected-marks", "constraint-missing-not-valid"): "its table has some rows a subject and month",
    (
        "0021-projected-marks",
        "require-concurrent-index-creation",
    ): "its table has a row for a change of a limit",
}


def problems(*files: Path) -> set[tuple[str, str, str]]:
    """(migration, rule, message); installed in one transaction on the oldest PostgreSQL there may be."""
    options = ["--assume-in-transaction", "--pg-version=15", "--reporter=json"]
    command = [program("squawk"), *options, f"--exclude={','.join(EXEMPT)}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {(Path(p["file"]).stem, p["rule_name"], p["message"]) for p in json.loads(done.stdout)}


def test_squawk_has_nothing_to_say_that_has_no_answer_here() -> None:
    assert {p for p in problems(*MIGRATIONS) if p[:2] not in EXEMPT_HERE} == set()


def test_no_exemption_is_kept_longer_than_it_is_needed() -> None:
    landed = {file.stem for file in MIGRATIONS}
    needed = {problem[:2] for problem in problems(*MIGRATIONS)}
    assert [exempt for exempt in EXEMPT_HERE if exempt[0] in landed and exempt not in needed] == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE metrics ALTER COLUMN unit TYPE varchar(10)",
        "ALTER TABLE events ADD CONSTRAINT positive CHECK (quantity >= 0)",
        "CREATE INDEX events_member ON events (member)",
        "ALTER TABLE metrics RENAME COLUMN unit TO units",
        "DROP TABLE metrics",
    ],
)
def test_squawk_sees_what_would_block_or_break_an_application(tmp_path: Path, statement: str) -> None:
    bad = tmp_path / "9999-bad.sql"
    bad.write_text(f"{statement};\n")
    assert problems(bad)
