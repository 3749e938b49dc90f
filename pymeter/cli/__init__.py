"""The command line. Exit status: 0 done; 1 refused, or a check failed; 2 it could not run."""

from __future__ import annotations

import gc
import io
import sys


def main() -> None:
    """Entry point of the ``pymeter`` script."""
    gc.disable()  # nothing that is imported is garbage, and looking for it takes a sixth of the start
    try:
        from pymeter.cli.app import app
    except ModuleNotFoundError as exc:
        if exc.name not in {"typer", "rich"}:
            raise
        sys.stderr.write("pymeter: the command line needs more: pip install 'pymeter-ledger[cli]'\n")
        sys.exit(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character still gets the rest
    gc.freeze()
    gc.enable()
    app()
