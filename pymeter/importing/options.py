"""How a file is to be understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from pymeter.importing.reading import FileFormat
from pymeter.times import read_zone

Unkeyed = Literal["derive", "count", "reject"]
Extra = Literal["refuse", "metadata", "ignore"]

FIELDS = ("subject", "metric", "quantity", "member", "idempotency_key", "at", "metadata")


class OptionsError(ValueError):
    """The file cannot be read in the way that was asked for; nothing, or nothing more, was imported."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class ImportOptions:
    """How a file is to be understood.

    `mapping` says which column (in JSON: which key, with dots into objects) holds which field, where their
    names differ; ``metadata.NAME`` is a field too. A field that some lines do not have is written with a
    question mark: ``{"member?": "user.id"}``. `constants` are fields that all events share.

    `unkeyed` is the treatment of a line without an idempotency key: ``derive`` one, ``count`` it on every
    import, or ``reject`` it. A derived key is made from the content of the whole file and the line's
    place in it; or, with `source`, from that name, the line's number and its text: for what is no regular
    file, and for files that change. A file that begins with all lines of a file that was imported before is
    refused, unless it is said to have `grown`: then only its other lines count.

    `extra` is the treatment of columns that are no field: ``refuse`` the file (in JSON: the line), put them
    into the ``metadata``, or ``ignore`` them. `timezone` is the zone of times that do not say their own.
    `trim` removes white space and byte order marks around subjects, metrics, members and keys.
    """

    format: FileFormat | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    delimiter: str | None = None
    header: bool = True
    timezone: str = "UTC"
    unkeyed: Unkeyed = "derive"
    extra: Extra = "refuse"
    source: str | None = None
    batch_size: int = 1000
    grown: bool = False
    trim: bool = True

    def __post_init__(self) -> None:
        names = [name.removesuffix("?") for name in (*self.mapping, *self.constants)]
        for name in names:
            if name not in FIELDS and (not name.startswith("metadata.") or name == "metadata."):
                raise OptionsError(
                    f"{name!r} is not a field of an event",
                    f"The fields are {', '.join(FIELDS)}, metadata.NAME.",
                )
            if names.count(name) > 1:
                raise OptionsError(
                    f"{name} is given twice",
                    "A line becomes one event. For several columns import the file once for each of them.",
                )
        if self.unkeyed not in get_args(Unkeyed) or self.extra not in get_args(Extra):
            raise OptionsError("unknown word for unkeyed or extra")
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise OptionsError("the delimiter must be one character")
        if self.batch_size < 1:
            raise OptionsError("the batch size must be at least 1")
        if self.source is not None and not self.source.strip():
            raise OptionsError("the source has no name")
        try:
            read_zone(self.timezone)
        except ValueError as exc:
            raise OptionsError(str(exc), "Use UTC, or a name such as Europe/Berlin.") from None

    @property
    def columns(self) -> dict[str, str]:
        """The mapping without question marks."""
        return {name.removesuffix("?"): column for name, column in self.mapping.items()}

    def may_lack(self, name: str) -> bool:
        """Whether a line may be without the column of this field."""
        return f"{name}?" in self.mapping

    @property
    def counted_column(self) -> str:
        """The column that is counted, if it is a mapped one: a line may hold several."""
        columns = self.columns
        return columns.get("quantity") or columns.get("member") or ""
