"""Files that are being written: each belongs to one program, and one that is gone leaves nothing for long."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_ABANDONED_SECONDS: Final = 86_400


@contextmanager
def new_partial(directory: Path, stem: str) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file that no other program has, open for writing; its name is removed at the end.

    Numbers of processes would not do: in two containers both programs can be number 1. The lock says that
    its program is alive, to programs under the same kernel, whatever their container.
    """
    while True:
        path = directory / f".{stem}-{_machine()}-{secrets.token_hex(8)}.partial"
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), "w+b") as file:
            if not _locked(file, path):
                continue  # somebody took it for a leftover before it was locked
            try:
                yield file, path
            finally:
                path.unlink(missing_ok=True)
            return


def _locked(file: BinaryIO, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # the file system has no locks: others go by the age of the file
    return path.exists()


def remove_leftovers(directory: Path, stem: str) -> None:
    """Remove what programs have not completed that are certainly gone."""
    for path in directory.glob(f".{stem}-*.partial"):
        # Gone meanwhile, or a file of another account, which only that may remove.
        with suppress(OSError), path.open("r+b") as file:
            if _is_abandoned(file, is_near=path.name.startswith(f".{stem}-{_machine()}-")):
                path.unlink()


def _is_abandoned(file: BinaryIO, *, is_near: bool) -> bool:
    """Nobody has the lock. Another machine's locks may not be seen here, so its files have to be old, too."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        is_near = False
    return is_near or time.time() - os.fstat(file.fileno()).st_mtime > _ABANDONED_SECONDS


def _machine() -> str:
    """The same for all containers under one kernel."""
    try:
        return _BOOT.read_text().replace("-", "")[:12]
    except OSError:
        return "unknown"
