"""What the two clients share besides the calls: how a result is read, and how a call becomes a method."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_type_hints

from psycopg.adapt import AdaptersMap
from psycopg.types.json import JsonbBinaryLoader
from psycopg.types.numeric import NumericBinaryLoader

from pymeter import exact_json

F = TypeVar("F", bound=Callable[..., Any])


class _ExactJsonbLoader(JsonbBinaryLoader):
    _loads = staticmethod(exact_json.loads)


def keep_exact(adapters: AdaptersMap) -> None:
    """Let a cursor load numbers exactly, also on a connection that was told to load them as floats."""
    adapters.register_loader("numeric", NumericBinaryLoader)
    adapters.register_loader("jsonb", _ExactJsonbLoader)


def describe(method: F, call: Callable[..., Any]) -> F:
    """Give `method` the name, documentation and signature of `call`, returning ``T`` for ``Call[T]``."""
    hints = get_type_hints(call)
    hints["return"] = get_args(hints["return"])[0]
    owner = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [
        parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(call).parameters.items()
    ]
    method.__name__ = call.__name__
    method.__doc__ = call.__doc__
    method.__annotations__ = hints
    method.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [owner, *parameters], return_annotation=hints["return"]
    )
    return method
