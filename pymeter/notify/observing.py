"""Events of a running sender."""

from __future__ import annotations

from collections.abc import Sequence

from pymeter.models import BudgetRound, ClaimedDelivery, EndpointStatus
from pymeter.notify.options import Result


class Observer:
    """Receives events; no-op by default.

    Its methods are called on the sender's event loop, one after another: they must not block.
    """

    def planned(self, notifications: int) -> None:
        """Notifications were looked at or written."""

    def sent(self, delivery: ClaimedDelivery, result: Result, seconds: float) -> None:
        """An attempt has ended."""

    def given_up(self, deliveries: int) -> None:
        """Deliveries are dead."""

    def spikes(self, found: int) -> None:
        """Spikes were found."""

    def budgets(self, found: BudgetRound) -> None:
        """Budgets were judged."""

    def projected_marks(self, fired: int) -> None:
        """Expected usage has reached marks of limits."""

    def trouble(self, message: str) -> None:
        """An error occurred that does not stop the sender, such as an attempt that failed."""

    def status(self, endpoints: Sequence[EndpointStatus]) -> None:
        """Once a minute while it watches: the endpoints, and what is still to be sent to each."""
