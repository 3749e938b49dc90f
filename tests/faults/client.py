"""``python -m tests.faults.client DSN NAME FILE``: a writer in a process of its own, made to be killed.

It records until somebody ends it. What it sends and what is acknowledged goes to FILE, line by line.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import psycopg

from tests.faults.load import Journal, Writer


def main(dsn: str, name: str, file: str) -> None:
    journal = Journal(Path(file))
    Writer(name, lambda: psycopg.connect(dsn, autocommit=True), journal).run(threading.Event())
    sys.exit("\n".join(journal.unexpected))


if __name__ == "__main__":
    main(*sys.argv[1:])
