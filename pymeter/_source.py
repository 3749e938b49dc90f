"""Checks what a client is created on: a psycopg connection or a pool of them; anything else is refused.

Objects of other libraries have a method ``connection`` too, and would fail in the middle of the user's
transaction. So their class is checked when the client is created; the error has the line to write instead.
"""

from __future__ import annotations

import inspect
from typing import Any

import psycopg

# A meter on the driver's connection would not know of a session's savepoints, nor of its next transaction.
_CONTRIB = {
    ("sqlalchemy", False): "Write meter(session), with meter from pymeter.contrib.sqlalchemy.",
    ("sqlalchemy", True): "Write async_meter(session), with async_meter from pymeter.contrib.sqlalchemy.",
    ("django", False): "Write meter(), with meter from pymeter.contrib.django.",
    ("django", True): "Write async_meter(), with async_meter from pymeter.contrib.django.",
}
_FOREIGN = (
    "sqlalchemy",
    "django",
    "asyncpg",
    "psycopg2",
    "peewee",
    "pg8000",
    "databases",
    "tortoise",
    "aiopg",
)


def check_source(source: Any, client: str, *, asynchronous: bool) -> None:
    """Raise TypeError for an object that `client` (Meter, AsyncMeter ...) cannot use."""
    own, other = (psycopg.AsyncConnection, psycopg.Connection)[:: 1 if asynchronous else -1]
    if isinstance(source, own):
        return
    message = f"{client} takes {_taken(asynchronous)}, not {_name(source)}"
    if isinstance(source, other):
        raise TypeError(f"{message}. {_other_client(client, asynchronous)}")
    library = _library(source)
    if library or isinstance(source, str | bytes | type) or not callable(getattr(source, "connection", None)):
        raise TypeError(f"{message}. {_instead(source, library, client, asynchronous)}")
    if is_asynchronous(source.connection) is (not asynchronous):
        raise TypeError(f"{message}. {_other_client(client, asynchronous)}")


def check_lent(connection: Any, client: str, *, asynchronous: bool) -> None:
    """Raise TypeError if a pool has lent anything but a psycopg connection."""
    if not isinstance(connection, psycopg.AsyncConnection if asynchronous else psycopg.Connection):
        raise TypeError(f"the pool of {client} has lent a {_name(connection)}, not a psycopg connection")


def _taken(asynchronous: bool) -> str:
    kind = "Async" if asynchronous else ""
    return f"a psycopg.{kind}Connection or a psycopg_pool.{kind}ConnectionPool"


def _name(source: Any) -> str:
    kind = source if isinstance(source, type) else type(source)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"the class {name}" if isinstance(source, type) else name


def _other_client(client: str, asynchronous: bool) -> str:
    other = client.removeprefix("Async") if asynchronous else f"Async{client}"
    return f"Write {other}(...) for this one."


def _library(source: Any) -> str | None:
    """The name of the unsupported library that the object's class comes from, or None."""
    for kind in type(source).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in _FOREIGN:
            return library
    return None


def _instead(source: Any, library: str | None, client: str, asynchronous: bool) -> str:
    if library in ("sqlalchemy", "django") and client.endswith("Meter"):
        return _CONTRIB[library, asynchronous]
    if library in ("sqlalchemy", "django"):
        return f"Give {client} a psycopg_pool.{'Async' if asynchronous else ''}ConnectionPool of its own."
    if library is not None:
        return f"pymeter works on psycopg 3 alone; {library} cannot share a transaction with it."
    if isinstance(source, str | bytes):
        opened = "await psycopg.AsyncConnection.connect(dsn)" if asynchronous else "psycopg.connect(dsn)"
        return f"Write {client}({opened}), or give a pool."
    if source is None:
        return "A connection of Django's is None until connection.ensure_connection() was called."
    return f"Give {client} an open connection, or an object whose connection() lends one."


def is_asynchronous(method: Any) -> bool | None:
    """Whether a pool's method is asynchronous; None if unknown."""
    function = inspect.unwrap(method)
    if inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function):
        return True
    return False if inspect.isgeneratorfunction(function) else None


def check_dsn(dsn: Any, function: str) -> None:
    """Raise TypeError for anything but the text of a DSN."""
    if isinstance(dsn, str):
        return
    line = f"{function}(dsn)"
    if isinstance(dsn, psycopg.Connection | psycopg.AsyncConnection):
        hint = f"It opens a connection of its own, with a transaction of its own. Write {line} with the DSN."
    elif _library(dsn) == "sqlalchemy":
        line = f"{function}(engine.url.render_as_string(hide_password=False))"
        hint = f"Write {line}."
    else:
        hint = f"Write {line}, such as {function}('postgresql:///app')."
    raise TypeError(f"{function} takes a DSN, not {_name(dsn)}. {hint}")
