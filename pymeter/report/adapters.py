"""The adapters that are here, and which billers' names belong to which."""

from __future__ import annotations

from typing import Literal, get_args

Adapter = Literal["stripe", "openmeter"]
ADAPTERS: tuple[Adapter, ...] = get_args(Adapter)


def adapter_of(biller_name: str) -> Adapter | None:
    """The adapter whose name a biller's begins with: stripe_shadow belongs to stripe. None: to whichever."""
    return next((adapter for adapter in ADAPTERS if biller_name.startswith(adapter)), None)
