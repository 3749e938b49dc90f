"""The journal: its pages, its states, and the server that it belongs to."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Push, PushState, PushStatus, ReportJournal


def report_status(biller: str = "stripe") -> Call[list[PushStatus]]:
    """Return how much usage is in each state of reporting, zeros included.

    Args:
        biller: The biller's name.

    Returns:
        A row for each metric and state. ``unplanned`` waits to be planned; ``unmapped`` has no
        customer.

    Example:
        {(row.metric, row.state): row.pushes for row in meter.report_status()}
    """
    return Call("report_status", (argument.text("biller", biller, required=True),), result.every(PushStatus))


def report_journal(biller: str = "stripe") -> Call[ReportJournal]:
    """Return where a biller's journal lives, and whether reporting is stopped because it was restored.

    Args:
        biller: The biller's name.

    Returns:
        The journal's server and state.

    Example:
        meter.report_journal().stopped
    """
    return Call(
        "report_journal", (argument.text("biller", biller, required=True),), result.one(ReportJournal)
    )


def adopt_journal(
    biller: str = "stripe", complete: bool = False, *, force: bool = False, now: datetime | None = None
) -> Call[ReportJournal]:
    """Go on with a journal that was restored, copied or failed over, on this server.

    Stop the other server's reporters first: reporting from two journals reports twice. Usage that
    this journal may not know the sending of is looked up in the biller's totals before it is sent.

    Args:
        biller: The biller's name.
        complete: True: the journal has lost nothing, as after a planned switchover.
        force: True: adopt it although it is not stopped, such as in a snapshot of a whole machine.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        Where the journal lives now.

    Raises:
        InvalidInput: a value is not allowed.
        MeterError: (55000) the journal is not stopped, and `force` is false; (25001) in a REPEATABLE READ
            or SERIALIZABLE transaction.

    Example:
        meter.adopt_journal()
    """
    return Call(
        "adopt_journal",
        (
            argument.text("biller", biller, required=True),
            argument.boolean("complete", complete, required=True),
            argument.boolean("force", force, required=True),
            argument.time("now", now),
        ),
        result.one(ReportJournal),
    )


def pushes(
    biller: str = "stripe",
    state: PushState | None = None,
    subject: str | None = None,
    *,
    max_rows: int = 100,
    after_id: int | None = None,
) -> Call[list[Push]]:
    """Return a page of the journal, newest first.

    Args:
        biller: The biller's name.
        state: Pushes in this state; all unless given.
        subject: One subject's pushes; all unless given.
        max_rows: The length of a page, at most 10,000.
        after_id: The last row's ``push_id``, for the next page.

    Returns:
        A page of pushes.

    Example:
        for push in meter.pushes(state="rejected"):
            print(push.identifier, push.error)
    """
    return Call(
        "pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("state", state),
            argument.text("subject", subject),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("after_id", "bigint", after_id),
        ),
        result.every(Push),
    )
