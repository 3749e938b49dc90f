"""Runs the examples of a page, in order, against one fresh meter, and tells what they print.

    python -m tests.docs.examples        writes the outputs into the pages; review the difference

A block of sql, python or sh is run. A block of text right behind it is its output; without one it has only to
succeed. ``<!-- file: NAME -->`` above a block makes it a file for what follows. ``<!-- not run -->`` leaves
it out: installing pymeter, servers that do not exist. SQL goes through psql; Python is one program.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from pymeter.embedded import program
from tests.docs.markdown import Block, blocks

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = tuple(
    sorted(
        page
        for folder in ("", "migrations/", "sql/*/", "pymeter/**/", "tests/**/")
        for page in ROOT.glob(f"{folder}README.md")
    )
)
# The roles that the pages grant to.
ROLES = ("app", "portal", "metering")
COMMAND = "python -m tests.docs.examples"

_SECONDS_MAX = 120
_LANGUAGES = ("sql", "python", "sh")


class ExampleFailed(AssertionError):
    """An example that has no output to compare did not succeed."""


@dataclass
class Runner:
    """What the examples share: a database, a folder, the names that Python blocks have defined."""

    dsn: str
    server: str
    folder: Path
    page: Path = README
    names: dict[str, Any] = field(default_factory=dict)

    def run(self, block: Block) -> tuple[bool, str]:
        """Whether the block succeeded, and what it printed."""
        return {"sql": self._sql, "python": self._python, "sh": self._shell}[block.language](block)

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("PG", "PYMETER_", "PYTEST_", "COV_"))
        }
        scripts = str(Path(sys.executable).parent)
        return kept | {
            "COLUMNS": "100",
            "LC_ALL": "C.UTF-8",
            "PYTHONUTF8": "1",
            "DATABASE_URL": self.dsn,
            "NO_COLOR": "1",
            "PATH": os.pathsep.join([scripts, str(program("psql").parent), kept.get("PATH", "")]),
            "PGTZ": "UTC",
            "PYMETER_TEST_DSN": self.server,
            "PYTHONDONTWRITEBYTECODE": "1",
            "TERM": "dumb",
        }

    def sql(self, text: str) -> str:
        """What psql prints for some SQL, which has to succeed."""
        block = Block("sql", text, 0)
        succeeded, output = self._sql(block)
        if not succeeded:
            raise ExampleFailed(f"{text}\n{output}")
        return tidy(output)

    def _sql(self, block: Block) -> tuple[bool, str]:
        options = ["-X", "-q", "-v", "SHOW_CONTEXT=never", "-P", "pager=off"]
        done = self._process([str(program("psql")), *options, self.dsn], block.text)
        output = re.sub(r"^psql:<stdin>:\d+: ", "", done.stdout, flags=re.MULTILINE)
        return done.returncode == 0 and not re.search(r"^ERROR:", output, re.MULTILINE), output

    def _shell(self, block: Block) -> tuple[bool, str]:
        done = self._process(["bash", "-e"], block.text)
        return done.returncode == 0, done.stdout

    def _process(self, command: list[str], text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            env=self.environment,
            timeout=_SECONDS_MAX,
            check=False,
        )

    def _python(self, block: Block) -> tuple[bool, str]:
        # Blank lines in front, so that a traceback has the page's own line numbers.
        code = compile("\n" * block.line + block.text, str(self.page), "exec")
        output = io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(output),
        ):
            try:
                exec(code, self.names)
            except Exception:
                return False, output.getvalue() + traceback.format_exc()
        return True, output.getvalue()

    def close(self) -> None:
        """Close the connections that Python blocks have left open."""
        for value in self.names.values():
            close = getattr(value, "close", None)
            if type(value).__module__.startswith("psycopg") and not inspect.iscoroutinefunction(close):
                value.close()


@dataclass(frozen=True)
class Example:
    """One block that is run, with the output that the page shows, and where the output's text begins."""

    block: Block
    expected: str | None
    note: str


def examples(text: str) -> list[Example]:
    """The blocks of a page that are run or written to files, in order."""
    found = blocks(text)
    pairs = zip(found, [*found[1:], None], strict=False)
    return [
        Example(
            block, following.text if following and _is_output(text, block, following) else None, block.note
        )
        for block, following in pairs
        if block.note.startswith("file: ") or (block.language in _LANGUAGES and block.note != "not run")
    ]


def _is_output(text: str, block: Block, following: Block) -> bool:
    """Whether nothing but blank lines is between a block and the text block behind it."""
    if following.language != "text":
        return False
    between = text.splitlines()[block.line + block.text.count("\n") + 1 : following.line - 1]
    return not any(line.strip() for line in between)


def outputs(text: str, runner: Runner) -> list[tuple[Example, str]]:
    """Run everything; the examples that show an output, with what they printed. Raises ExampleFailed."""
    printed = []
    for example in examples(text):
        block = example.block
        if example.note.startswith("file: "):
            (runner.folder / example.note.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
            continue
        succeeded, output = runner.run(block)
        if example.expected is not None:
            printed.append((example, tidy(output)))
        elif not succeeded:
            raise ExampleFailed(f"{runner.page.relative_to(ROOT)}:{block.line + 1}: {block.text}\n{output}")
    return printed


def tidy(output: str) -> str:
    """Without blanks at the ends of lines and blank lines at the end: editors would remove them."""
    return "\n".join(line.rstrip() for line in output.rstrip().splitlines()) + "\n"


def with_outputs(text: str, printed: list[tuple[Example, str]]) -> str:
    """The page with its outputs as they were printed."""
    position = 0
    parts = []
    for example, output in printed:
        marker = f"{example.block.text}```\n\n```text\n"
        start = text.index(marker, position) + len(marker)
        parts += [text[position:start], output]
        position = start + len(example.expected or "")
    return "".join([*parts, text[position:]])


def main() -> None:
    import psycopg

    from pymeter import migrate
    from pymeter.embedded import temporary_server

    for page in [Path(name).resolve() for name in sys.argv[1:]] or PAGES:
        text = page.read_text(encoding="utf-8")
        with temporary_server() as dsn, tempfile.TemporaryDirectory() as folder:
            migrate(dsn)
            with psycopg.connect(dsn, autocommit=True) as admin:
                for role in ROLES:
                    admin.execute(f"CREATE ROLE {role}".encode())
            runner = Runner(dsn, dsn, Path(folder), page)
            try:
                page.write_text(with_outputs(text, outputs(text, runner)), encoding="utf-8")
            finally:
                runner.close()
        sys.stdout.write(f"wrote the outputs of {page.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
