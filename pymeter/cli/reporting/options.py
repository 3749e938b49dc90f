"""Options of several commands of ``pymeter report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_SENDING = "Calls of the biller"

BillerName = Annotated[
    str,
    typer.Option("--biller", help="Which journal; NAME_shadow takes test keys only."),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="File of the key. Default: STRIPE_API_KEY or OPENMETER_TOKEN(_FILE)."),
]
AdapterOption = Annotated[
    str | None,
    typer.Option("--adapter", help="stripe or openmeter. Default: as NAME begins; else stripe."),
]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Its server. Default: OPENMETER_URL or STRIPE_API_BASE; else its cloud."
    ),
]
ConnectionsOption = Annotated[
    int, typer.Option(min=1, max=200, metavar="N", help="Calls at the same time.", rich_help_panel=_SENDING)
]
RateOption = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        metavar="N",
        help="Calls a second. Default: 1000; test key: 20; openmeter: 100.",
        rich_help_panel=_SENDING,
    ),
]
