"""The HTTP API: an ASGI application that calls the meter's functions in the role of the request's key.

    app = pymeter.web.app("postgresql://pymeter_web@host/db")
    token = pymeter.web.embed_token(key, "acct_1", timedelta(minutes=10))

Extra ``web``. The names are loaded when they are first used: tokens need no web framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pymeter.web.tokens import embed_token

if TYPE_CHECKING:
    from pymeter.web.app import app

__all__ = ["app", "embed_token"]


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = import_module("pymeter.web.app").app
    globals()["app"] = value
    return value
