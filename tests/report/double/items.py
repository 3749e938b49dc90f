"""An invoice item as it is kept and shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class InvoiceItem:
    """One item. ``created`` is the double's clock."""

    id: str
    customer: str
    amount: int
    currency: str
    created: int
    description: str | None
    discountable: bool
    period: dict[str, int]
    metadata: dict[str, str]
    livemode: bool
    idempotency_key: str | None

    def as_stripe(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "invoiceitem",
            "amount": self.amount,
            "currency": self.currency,
            "customer": self.customer,
            "date": self.created,
            "description": self.description,
            "discountable": self.discountable,
            "invoice": None,
            "livemode": self.livemode,
            "metadata": self.metadata,
            "period": self.period,
            "proration": False,
            "quantity": 1,
        }
