"""A reservation as a block: ``with meter.reserved(...) as held``. Without a settlement it is released."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from pymeter.errors import DuplicateEvent, MeterError, QuotaExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymeter._async_methods import AsyncMethods
    from pymeter._methods import Methods
    from pymeter.models import Quantity, Recorded, Reserved


class ReservedUsage:
    """A reservation inside of its block."""

    def __init__(self, meter: Methods, reservation: Reserved) -> None:
        self._meter = meter
        self._id = reservation.reservation_id or 0
        self.reservation = reservation
        """What the latest call returned: how much it holds, until when."""
        self.has_ended = False
        """Whether it was settled or released in the block."""

    def settle(
        self, quantity: Quantity, *, at: datetime | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Recorded:
        """Record what was used, and end the reservation."""
        recorded = self._meter.settle(self._id, quantity, at=at, metadata=metadata)
        self.has_ended = True
        return recorded

    def extend(self, ttl: str | timedelta | None = None) -> Reserved:
        """Let it hold for `ttl` from now on."""
        self.reservation = self._meter.extend(self._id, ttl)
        return self.reservation

    def release(self) -> Reserved:
        """End it without usage."""
        self.reservation = self._meter.release(self._id)
        self.has_ended = True
        return self.reservation


class AsyncReservedUsage:
    """A reservation inside of its block."""

    def __init__(self, meter: AsyncMethods, reservation: Reserved) -> None:
        self._meter = meter
        self._id = reservation.reservation_id or 0
        self.reservation = reservation
        """What the latest call returned: how much it holds, until when."""
        self.has_ended = False
        """Whether it was settled or released in the block."""

    async def settle(
        self, quantity: Quantity, *, at: datetime | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Recorded:
        """Record what was used, and end the reservation."""
        recorded = await self._meter.settle(self._id, quantity, at=at, metadata=metadata)
        self.has_ended = True
        return recorded

    async def extend(self, ttl: str | timedelta | None = None) -> Reserved:
        """Let it hold for `ttl` from now on."""
        self.reservation = await self._meter.extend(self._id, ttl)
        return self.reservation

    async def release(self) -> Reserved:
        """End it without usage."""
        self.reservation = await self._meter.release(self._id)
        self.has_ended = True
        return self.reservation


@contextmanager
def in_block(meter: Methods, reservation: Reserved) -> Iterator[ReservedUsage]:
    """The block of a reservation that was just made."""
    _check_held(reservation)
    held = ReservedUsage(meter, reservation)
    try:
        yield held
    except BaseException as error:
        if not held.has_ended:
            try:
                held.release()
            except (psycopg.Error, MeterError) as failed:
                error.add_note(_not_released(held.reservation, failed))
        raise
    if not held.has_ended:
        held.release()


@asynccontextmanager
async def in_async_block(meter: AsyncMethods, reservation: Reserved) -> AsyncIterator[AsyncReservedUsage]:
    """The block of a reservation that was just made."""
    _check_held(reservation)
    held = AsyncReservedUsage(meter, reservation)
    try:
        yield held
    except BaseException as error:
        if not held.has_ended:
            try:
                await held.release()
            except (psycopg.Error, MeterError) as failed:
                error.add_note(_not_released(held.reservation, failed))
        raise
    if not held.has_ended:
        await held.release()


def _check_held(reservation: Reserved) -> None:
    if reservation.outcome == "refused":
        raise QuotaExceeded(
            "the reservation would go beyond a limit",
            detail=f"limit {reservation.limited_by!r}: {reservation.remaining} remaining.",
            hint="Nothing was reserved. Raise the limit with set_limit(), or pass a minimum.",
            parameter="quantity",
        )
    if reservation.outcome == "duplicate" and not reservation.held:
        raise DuplicateEvent(
            "the reservation of this idempotency key has ended",
            detail=f"reservation {reservation.reservation_id}.",
            hint="Nothing is held. Reserve with a new key.",
            parameter="idempotency_key",
        )
    if reservation.outcome == "conflict":
        raise DuplicateEvent(
            "the idempotency key was used before",
            detail=f"reservation {reservation.reservation_id}, outcome conflict.",
            hint="Nothing was reserved. The key is another request's, or an event's.",
            parameter="idempotency_key",
        )


def _not_released(reservation: Reserved, error: Exception) -> str:
    return (
        f"reservation {reservation.reservation_id} was not released ({type(error).__name__});"
        f" it holds until {reservation.expires_at}"
    )
