"""What sql/archive/README.md says word by word, and of files and erasing."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from pymeter.archive.work import export_month, restore_file
from tests.helpers import Ledger, at

PAGE = Path(__file__).parents[2] / "sql" / "archive" / "README.md"
JANUARY = at("2026-01-01")


def export(ledger: Ledger, directory: Path) -> Path:
    return directory / export_month(ledger.connection, "meter", JANUARY, directory).file_name


def test_the_page_quotes_the_error_as_it_is(ledger: Ledger, tmp_path: Path) -> None:
    ledger.define("tokens", "sum")
    ledger.record("a", "tokens", 1, at=at("2026-01-10"))
    ledger.upkeep()
    path = export(ledger, tmp_path)
    with pytest.raises(psycopg.Error) as caught:
        ledger.rows("SELECT * FROM meter.events('a')")
    said = caught.value.diag
    quoted = re.search(r"^ERROR: .*?(?=^```)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert quoted is not None
    real = (
        f"ERROR:  {said.message_primary}\nDETAIL:  {said.message_detail}\nHINT:  {said.message_hint}\n"
    ).replace(path.name, "events_2026_01-5f0c27d1a9be.parquet")
    assert quoted[0] == real


def test_a_month_that_is_restored_erased_and_exported_again_has_no_text_in_its_file(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.define("tokens", "sum")
    for subject in ("secret", "other"):
        ledger.record(subject, "tokens", 1, at=at("2026-01-10"), idempotency_key=f"{subject} key")
    ledger.upkeep()
    first = export(ledger, tmp_path)
    restore_file(ledger.connection, "meter", first)
    ledger.call("erase_subject", subject="secret", pseudonym="erased_1")
    second = export(ledger, tmp_path)
    assert "secret" in str(pq.read_table(first).to_pylist())
    rows = pq.read_table(second).to_pylist()
    assert "secret" not in str(rows)
    assert {row["subject"] for row in rows} == {"erased_1", "other"}
    restore_file(ledger.connection, "meter", second)
    assert ledger.value("SELECT count(*) FROM meter.events('erased_1')") == 1
