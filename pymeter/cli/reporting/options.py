"""Options of several commands of ``pymeter report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BillerName = Annotated[
    str,
    typer.Option("--biller", help="Whose journal; a name that ends in _shadow takes test keys only."),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="A file with the API key. Default: STRIPE_API_KEY, or the file STRIPE_API_KEY_FILE."),
]
ConnectionsOption = Annotated[int, typer.Option(min=1, max=200, help="Calls at the same time.")]
RateOption = Annotated[
    float | None,
    typer.Option(min=0.001, help="Calls a second, of this process. Default: 1000; 20 with a test key."),
]
