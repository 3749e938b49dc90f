"""Options of commands that write an invoice's page, and how it is written."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pymeter.cli.errors import CliError
from pymeter.cli.output import good, stderr
from pymeter.invoice_page import Letter

AsHtml = Annotated[bool, typer.Option("--html", help="Print a page in HTML, to print or to send.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="With --html: a file; default: standard output.")
]
Seller = Annotated[
    list[str] | None, typer.Option("--from", help="With --html: who bills. Repeat it for each line.")
]
Buyer = Annotated[
    list[str] | None, typer.Option("--to", help="With --html: who pays; default: the subject. As --from.")
]
Note = Annotated[list[str] | None, typer.Option("--note", help="With --html: such as how to pay. As --from.")]


def read_letter(
    as_html: bool,
    output: Path | None,
    seller: list[str] | None,
    buyer: list[str] | None,
    note: list[str] | None,
) -> Letter:
    """What the seller adds to a page; refused without --html, which all of it is for."""
    if not as_html:
        given = (("--output", output), ("--from", seller), ("--to", buyer), ("--note", note))
        for option, value in given:
            if value:
                raise typer.BadParameter(f"{option} needs --html")
    return Letter(seller or (), buyer or (), note or ())


def write_page(made: Callable[[], str], output: Path | None) -> None:
    """Write a page into a file, or to standard output: in UTF-8, as the page itself says."""
    try:
        page = made()
    except ModuleNotFoundError as exc:
        if exc.name != "jinja2":
            raise
        raise CliError("--html needs Jinja2", "pip install 'pymeter-ledger[cli]'") from None
    if output is not None:
        output.write_text(page, encoding="utf-8", newline="\n")
        stderr().print(good(f"written to {output}"))
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(page)
