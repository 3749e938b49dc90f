"""Archives of old months: sql/archive/."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pymeter.models.values import Model, Moment


class Archive(Model):
    """A month of the log that a file holds."""

    archive_id: int
    month: Moment
    """Its first instant, UTC."""
    part: int
    """Which partition of the month, from 1: late events get another one."""
    event_count: int
    first_id: int
    last_id: int
    last_recorded_at: Moment
    archived_at: Moment
    restored_at: Moment | None = None
    """None while the rows are only in the file."""
    file_name: str
    """Without its directory."""
    file_hash: str
    digest: str
    """Of the rows."""
    archived_by: str
    restored_by: str | None = None


class ArchiveRow(Model):
    """A row of the log as a file holds it. From `kind` on: None if no correction wrote it."""

    event_id: int
    at: Moment
    recorded_at: Moment
    series_id: int
    subject: str
    metric: str
    quantity: Decimal | None = None
    member: str | None = None
    idempotency_key: str | None = None
    metadata: dict[str, Any] | None = None
    kind: str | None = None
    corrects: int | None = None
    correction_id: int | None = None
    undone_by: int | None = None
    """Of a void: the void that has taken it back."""
    counts: int | None = None
    """What the row adds to a count of events."""
