"""pymeter archive: a month goes to a file, is listed and checked, and comes back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymeter import Meter

Run = Callable[..., Any]


def test_a_month_goes_to_a_file_and_comes_back(pymeter: Run, meter: Meter, tmp_path: Path) -> None:
    meter.define_metric("tokens", "sum", "token")
    for day in (10, 11):
        meter.record("a", "tokens", 5, at=datetime(2024, 1, day, tzinfo=UTC), metadata={"text": "ß\n☃"})
    meter.maintain()
    exported = pymeter("archive", "export", "2024-01", "--to", str(tmp_path), "--json").json
    (path,) = tmp_path.glob("*.parquet")
    assert (exported["file_name"], exported["event_count"]) == (path.name, 2)
    refused = pymeter("events", "a")
    assert refused.status != 0
    assert path.name in refused.err
    assert f"pymeter archive restore {path.name}" in refused.err.replace("\n", " ")
    assert path.name in pymeter("archive", "list").out
    assert "is complete: 2 events" in pymeter("archive", "check", str(path)).out
    assert "2024-01 is in the log again: 2 events" in pymeter("archive", "restore", str(path)).out
    assert pymeter("archive", "list", "--json").json[0]["restored_at"] is not None
    assert len(meter.events("a")) == 2


def test_what_is_no_month_or_no_archive_is_refused_in_a_line(
    pymeter: Run, meter: Meter, tmp_path: Path
) -> None:
    assert "is not a month" in pymeter("archive", "export", "January").err
    (tmp_path / "odd.parquet").write_bytes(b"PAR1")
    ran = pymeter("archive", "restore", str(tmp_path / "odd.parquet"))
    assert ran.status != 0
    assert "is no archive of this meter" in ran.err


def test_a_month_that_maintain_has_not_seen_yet_is_named_as_such(
    pymeter: Run, meter: Meter, tmp_path: Path
) -> None:
    """It was filled afterwards: its events are in the default partition, and neither dropped nor archived."""
    meter.define_metric("tokens", "sum", "token")
    meter.record("a", "tokens", 5, at=datetime(2024, 1, 10, tzinfo=UTC))
    refused = pymeter("archive", "export", "2024-01", "--to", str(tmp_path))
    assert refused.status != 0
    said = " ".join(refused.err.split())
    assert "no partition of the log yet" in said
    assert "Events in the default partition: 1." in said
    assert said.partition("hint: ")[2].startswith("Run: pymeter maintain."), said
    assert "dropped" not in said
    assert list(tmp_path.iterdir()) == []
    assert pymeter("maintain").status == 0
    assert pymeter("archive", "export", "2024-01", "--to", str(tmp_path)).status == 0
    gone = " ".join(pymeter("archive", "export", "2024-01", "--to", str(tmp_path)).err.split())
    assert "dropped or archived already" in gone


def test_a_count_that_ends_at_a_bound_says_so(pymeter: Run, meter: Meter, tmp_path: Path) -> None:
    meter.define_metric("tokens", "sum", "token")
    events = [
        {"subject": "a", "metric": "tokens", "quantity": 1, "at": f"2024-01-10 10:00:00.{n:06}Z"}
        for n in range(9_999)
    ]
    for first in range(0, len(events), 1000):
        meter.record_batch(events[first : first + 1000])
    assert "stray events 9,999 " in " ".join(pymeter("status").out.split())
    meter.record("a", "tokens", 1, at=datetime(2024, 1, 11, tzinfo=UTC))
    assert "stray events 10,000 or more" in " ".join(pymeter("status").out.split())
    refused = pymeter("archive", "export", "2024-01", "--to", str(tmp_path))
    assert "Events in the default partition: 10000 or more." in " ".join(refused.err.split())
