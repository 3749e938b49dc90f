"""One durable server for the tests that kill, fill or restart it, and databases on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pymeter.migrate import migrate
from tests.faults.servers import (
    Server,
    create_database,
    execute,
    new_database,
    new_server,
    with_database,
)
from tests.helpers import ledger, new_ledger  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def durable_server() -> Iterator[Server]:
    """A server of our own with fsync on; it may be killed."""
    try:
        with new_server(settings={"wal_level": "logical", "max_wal_senders": "10"}) as server:
            yield server
    except NotImplementedError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def durable_template(durable_server: Server) -> str:
    name = "pymeter_durable_template"
    durable_server.bring_back()
    execute(durable_server.dsn, create_database(name))
    migrate(with_database(durable_server.dsn, name))
    return name


@pytest.fixture
def durable_dsn(durable_server: Server, durable_template: str) -> Iterator[str]:
    """A migrated database of the test's own on the durable server."""
    durable_server.bring_back()
    with new_database(durable_server.dsn, template=durable_template) as dsn:
        yield dsn
