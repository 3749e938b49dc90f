"""Writes the methods of the two clients from pymeter/calls: a ``def`` for each, which any editor sees.

    python -m tests.client.generate            writes pymeter/_methods.py and pymeter/_async_methods.py
    python -m tests.client.generate --check    exit status 1 if they are not what it would write

Signature, types and documentation are those of the call; only the I/O differs between the two files.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pymeter
from pymeter import calls, models

PACKAGE = Path(pymeter.__file__).resolve().parent
COMMAND = "python -m tests.client.generate"

MODULES = (
    *("catalog_calls", "record_calls", "usage_calls", "correct_calls", "close_calls"),
    *("limits_calls", "pricing_calls", "credits_calls", "simulate_calls", "project_calls"),
    "focus_calls",
    "budgets_calls",
    *("notify_calls", "own_calls"),
    "repair_calls",
    "operate_calls",
    "scale_calls",
    "archive_calls",
    "access_calls",
    "keys_calls",
    *(
        f"report_calls.{part}"
        for part in ("mapping", "planning", "sending", "deciding", "reconciling", "journal")
    ),
)


# The result of a call whose parameter decides its type: by the parameter's annotation.
OVERLOADS = {
    "record": ("total", {"Literal[True]": "Recorded", "bool": "Recorded | RecordedWithoutTotal"}),
}


@dataclass(frozen=True)
class Method:
    """A call of pymeter.calls, as the source of its file has it."""

    folder: str
    node: ast.FunctionDef

    @property
    def name(self) -> str:
        return self.node.name

    def source(self, *, name: str, is_async: bool, bound: str | None = None) -> str:
        """The method; with `bound`, that parameter is an attribute of the object and no argument."""
        arguments = self.node.args
        positional = [a for a in arguments.args if a.arg != bound]
        defaults = dict(
            zip([a.arg for a in reversed(arguments.args)], reversed(arguments.defaults), strict=False)
        )
        defaults |= {
            a.arg: d
            for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if d is not None
        }
        parameters = ["self", *(_parameter(a, defaults) for a in positional)]
        if arguments.kwonlyargs:
            parameters += ["*", *(_parameter(a, defaults) for a in arguments.kwonlyargs)]
        passed = [f"self.{bound}" if a.arg == bound else a.arg for a in arguments.args]
        passed += [f"{a.arg}={a.arg}" for a in arguments.kwonlyargs]
        assert isinstance(self.node.returns, ast.Subscript)
        result = ast.unparse(self.node.returns.slice)
        define, wait = ("async def", "await ") if is_async else ("def", "")
        return (
            f"{self._overloads(define, parameters)}"
            f"{define} {name}({', '.join(parameters)}) -> {result}:\n"
            f'    """{_documentation(self.node)}"""\n'
            f"    return {wait}self._run(calls.{self.name}({', '.join(passed)}))\n"
        )

    def _overloads(self, define: str, parameters: list[str]) -> str:
        decisive, results = OVERLOADS.get(self.name, ("", {}))
        signatures = []
        for annotation, result in results.items():
            # Only the first one has the default.
            given = f"{decisive}: {annotation}" + (" = True" if annotation == "Literal[True]" else "")
            own = [given if p.startswith(f"{decisive}:") else p for p in parameters]
            signatures.append(f"@overload\n{define} {self.name}({', '.join(own)}) -> {result}: ...\n")
        return "".join(signatures)


def read_methods() -> list[Method]:
    """All calls, in the order of the modules and of their files."""
    found = []
    for name in MODULES:
        tree = ast.parse(inspect.getsource(import_module(f"pymeter.calls.{name}")))
        folder, _, _ = name.partition("_calls")
        found += [
            Method(folder, node)
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        ]
    assert sorted(m.name for m in found) == sorted(set(calls.__all__) - {"Call"})
    return found


def render(*, is_async: bool) -> str:
    """One of the two files."""
    methods = read_methods()
    # `access` is a call and a group of calls: access() lists, access.grant() grants.
    flat = [m for m in methods if m.name != "access"]
    parts = [
        _header(methods, is_async),
        _reporting(methods, is_async),
        _access(methods, is_async),
        _subject_reads(methods, is_async),
    ]
    body = [_flat_base(is_async), *(m.source(name=m.name, is_async=is_async) for m in flat)]
    parts.append(
        f'class {_prefix(is_async)}Methods:\n    """A method for each public function of SQL."""\n\n'
        + textwrap.indent("\n".join(body), "    ")
    )
    return _formatted("\n\n".join(parts))


def _header(methods: list[Method], is_async: bool) -> str:
    used = {n.id for m in methods for n in ast.walk(m.node) if isinstance(n, ast.Name)}
    # More than is needed: ruff takes out what is not.
    of_models = sorted(used & set(models.__all__))
    result = "Awaitable[T]" if is_async else "T"
    return f'''\
"""Generated from pymeter/calls: do not edit. To bring it up to date: {COMMAND}"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar, overload
from uuid import UUID

from pymeter import calls
from pymeter.calls import Call
from pymeter.models import {", ".join(of_models)}

T = TypeVar("T")


class _Run(Protocol):
    def __call__(self, call: Call[T], /) -> {result}: ...


class _Group:
    """Calls that belong together; they are made by the meter's own `_run`."""

    def __init__(self, run: _Run) -> None:
        self._run = run
'''


def _flat_base(is_async: bool) -> str:
    define = "async def" if is_async else "def"
    prefix = _prefix(is_async)
    return f'''\
{define} _run(self, call: Call[T]) -> T:
    raise NotImplementedError

@property
def reporting(self) -> {prefix}Reporting:
    """The calls of a reporter, and what is reported to whom."""
    return {prefix}Reporting(self._run)

@property
def access(self) -> {prefix}Access:
    """Who may do what: `access()` lists it, `access.grant` and `access.revoke` change it."""
    return {prefix}Access(self._run)

def for_subject(self, subject: str) -> {prefix}SubjectReads:
    """The questions about one subject, for a role that was granted read on that subject alone."""
    return {prefix}SubjectReads(self._run, subject)
'''


def _reporting(methods: list[Method], is_async: bool) -> str:
    body = [m.source(name=m.name, is_async=is_async) for m in methods if m.folder == "report"]
    documentation = "What is reported to whom, and the steps of a reporter."
    return f'class {_prefix(is_async)}Reporting(_Group):\n    """{documentation}"""\n\n' + textwrap.indent(
        "\n".join(body), "    "
    )


def _access(methods: list[Method], is_async: bool) -> str:
    names = {"access": "__call__", "grant_access": "grant", "revoke_access": "revoke"}
    body = [m.source(name=names[m.name], is_async=is_async) for m in methods if m.folder == "access"]
    return f'class {_prefix(is_async)}Access(_Group):\n    """Who may do what."""\n\n' + textwrap.indent(
        "\n".join(body), "    "
    )


def _subject_reads(methods: list[Method], is_async: bool) -> str:
    body = [
        m.source(name=m.name.removeprefix("own_"), is_async=is_async, bound="subject")
        for m in methods
        if m.folder == "own"
    ]
    return (
        f'class {_prefix(is_async)}SubjectReads(_Group):\n    """The questions about one subject."""\n\n'
        "    def __init__(self, run: _Run, subject: str) -> None:\n"
        "        super().__init__(run)\n"
        "        self.subject = subject\n\n" + textwrap.indent("\n".join(body), "    ")
    )


def _prefix(is_async: bool) -> str:
    return "Async" if is_async else ""


def _parameter(argument: ast.arg, defaults: dict[str, ast.expr]) -> str:
    assert argument.annotation is not None
    default = f" = {ast.unparse(defaults[argument.arg])}" if argument.arg in defaults else ""
    return f"{argument.arg}: {ast.unparse(argument.annotation)}{default}"


def _documentation(node: ast.FunctionDef) -> str:
    text = ast.get_docstring(node) or ""
    lines = text.splitlines()
    body = "\n".join([lines[0], *(f"    {line}".rstrip() for line in lines[1:])])
    return f"{body}\n    " if len(lines) > 1 else body


def _formatted(text: str) -> str:
    for command in (["check", "--quiet", "--fix", "--select", "F401,I"], ["format", "--quiet"]):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", "pymeter/_methods.py", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=PACKAGE.parent,
        ).stdout
    return text


def main() -> int:
    outdated = []
    for name, is_async in (("_methods.py", False), ("_async_methods.py", True)):
        file, text = PACKAGE / name, render(is_async=is_async)
        if "--check" in sys.argv:
            outdated += [name] if not file.exists() or file.read_text(encoding="utf-8") != text else []
        else:
            file.write_text(text, encoding="utf-8")
    if outdated:
        sys.stderr.write(f"out of date: {', '.join(outdated)}; bring up to date with: {COMMAND}\n")
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())
