"""The whole suite on another PostgreSQL than the wheel's, which is started and removed again.

    python -m tests.longrun.suite 15                                Debian's PostgreSQL 15
    python -m tests.longrun.suite /opt/pgsql-17/bin -- -m 'not slow' tests/record

A server that already runs takes no program: PYMETER_TEST_DSN=postgresql://... pytest
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pymeter import embedded
from tests.faults.servers import installed_servers, new_server, version_of

_ROOT = Path(__file__).parents[2]


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.longrun.suite", description=__doc__)
    parser.add_argument("server", help="a major version of Debian's packages, or a directory of programs")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, behind --")
    options = parser.parse_args(given)
    programs = installed_servers()[int(options.server)] if options.server.isdigit() else Path(options.server)
    print(f"PostgreSQL {version_of(programs)}", flush=True)
    with new_server(programs, embedded._SETTINGS | embedded._TEMPORARY_SETTINGS) as server:
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options.pytest],
            env=os.environ | {"PYMETER_TEST_DSN": server.dsn},
            cwd=_ROOT,
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
