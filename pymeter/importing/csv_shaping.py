"""Events from the rows of a CSV file: which column is which field, and what does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pymeter.importing.fields import (
    CORRECTION,
    EXPORTED,
    Exported,
    Reader,
    add_metadata,
    parse_metadata,
    trimmed,
)
from pymeter.importing.options import FIELDS, ImportOptions, OptionsError
from pymeter.importing.reading import CsvReader, LineReader, Record
from pymeter.importing.spreadsheet import ESCAPED_COLUMN, restored

_DELIMITERS = {";": "';'", "\t": "tab", "|": "'|'"}


def csv_rows(lines: LineReader, name: str, options: ImportOptions) -> Iterator[tuple[Record, Reader]]:
    """Every record of the file, with the function that reads it. OptionsError where columns do not fit."""
    delimiter = options.delimiter or ("\t" if ".tsv" in Path(name).suffixes else ",")
    rows = iter(CsvReader(lines, delimiter))
    first = next(rows, None)
    if first is None:
        return
    if first.problem is not None:
        raise OptionsError(f"the first line cannot be read: {first.problem.reason}", first.problem.hint)
    if len(first.value) == 1 and options.delimiter is None:
        for other, word in _DELIMITERS.items():
            if other in first.value[0]:
                raise OptionsError(
                    f"the first line has one column, {first.value[0]!r:.80}",
                    f"Say what separates its columns: --delimiter {word}",
                )
    if options.header:
        read = _csv_reader([trimmed(column) for column in first.value], options)
    else:
        read = _csv_reader([str(number) for number, _ in enumerate(first.value, start=1)], options)
        yield first, read
    for record in rows:
        yield record, read


def _csv_reader(columns: list[str], options: ImportOptions) -> Reader:
    mapped = {n: c for n, c in options.columns.items() if c in columns or not options.may_lack(n)}
    mapping = {name: name for name in FIELDS if name in columns and name not in options.columns} | mapped
    if missing := [column for column in mapping.values() if column not in columns]:
        raise OptionsError(
            f"the file has no column {missing[0]!r}", f"Its columns are: {', '.join(columns)}."
        )
    used = set(mapping.values())
    is_export = all(name in columns for name in EXPORTED)
    of_export = (*EXPORTED, *CORRECTION, ESCAPED_COLUMN) if is_export else ()
    extra = [column for column in columns if column and column not in used and column not in of_export]
    _check_columns(columns, extra, mapping, options)
    position = {column: number for number, column in enumerate(columns)}
    plain = [(name, position[column]) for name, column in mapping.items() if name in FIELDS]
    nested = [(name[9:], position[column]) for name, column in mapping.items() if name not in FIELDS]
    if options.extra == "metadata":
        nested += [(column, position[column]) for column in extra]
    corrected = [(name, position[name]) for name in CORRECTION if name in position and name not in used]
    escaped = position.get(ESCAPED_COLUMN) if is_export else None
    exact = is_export or not options.trim

    def read(row: list[str]) -> tuple[dict[str, Any], Exported | None]:
        if escaped is not None and row[escaped]:
            row = list(row)
            for column in row[escaped].split():
                row[position[column]] = restored(row[position[column]])
        event: dict[str, Any] = {
            name: row[number]
            for name, number in plain
            if row[number] and (exact or not row[number].isspace())
        }
        if "metadata" in event:
            event["metadata"] = parse_metadata(event["metadata"])
        add_metadata(event, {name: row[number] for name, number in nested if row[number] != ""})
        if not is_export:
            return event, None
        event_id, recorded_at = (row[position[name]] for name in EXPORTED)
        correction = {name: row[number] for name, number in corrected if row[number]}
        return event, Exported(event_id, recorded_at, correction)

    return read


def _check_columns(
    columns: list[str], extra: list[str], mapping: Mapping[str, str], options: ImportOptions
) -> None:
    kept = {*mapping.values(), *EXPORTED, *(extra if options.extra != "ignore" else ())}
    names = Counter(
        [*(n[9:] for n in mapping if n not in FIELDS), *(extra if options.extra == "metadata" else ())]
    )
    twice = [name for name, count in Counter(columns).items() if count > 1 and name in kept]
    if twice := twice or [name for name, count in names.items() if count > 1]:
        raise OptionsError(
            f"two columns have the name {twice[0]!r}",
            "Rename one of them, or read them by position: --no-header.",
        )
    if extra and options.extra == "refuse":
        raise OptionsError(
            f"these columns are no fields of an event: {', '.join(extra)}",
            "Say what they are with --map field=column, keep them with --extra metadata, or drop them with"
            " --extra ignore.",
        )
    for name in ("subject", "metric"):
        if name not in mapping and name not in options.constants:
            raise OptionsError(
                f"the file has no column for {name}",
                f"Its columns are: {', '.join(columns)}. Use --map {name}=COLUMN or --set {name}=VALUE.",
            )
