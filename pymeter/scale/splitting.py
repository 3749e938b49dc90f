"""Batches: each shard gets its part, and the outcomes come back in input order."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from pymeter.calls import argument
from pymeter.errors import MeterError

# Numbers are not read at all: what is sent on is the text.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
_BLANK = " \t\r\n,"


def elements(document: Jsonb) -> list[tuple[Any, str]]:
    """The elements of a JSON array: each as it reads, and its own text, which is not changed by a shard.

    An argument of a call is JSON text already.
    """
    text: str = document.obj
    found: list[tuple[Any, str]] = []
    position, end = 1, len(text) - 1
    while True:
        while position < end and text[position] in _BLANK:
            position += 1
        if position >= end:
            return found
        value, after = _DECODER.raw_decode(text, position)
        found.append((value, text[position:after]))
        position = after


def array(texts: Sequence[str]) -> Jsonb:
    """The argument of these elements."""
    return argument.document(f"[{','.join(texts)}]")


def split(document: Jsonb, shard_of: Callable[[Any], str]) -> dict[str, tuple[list[int], list[str]]]:
    """For each shard the places of its elements, counted from 1, and their texts."""
    parts: dict[str, tuple[list[int], list[str]]] = {}
    for ordinal, (value, text) in enumerate(elements(document), start=1):
        ordinals, texts = parts.setdefault(shard_of(value), ([], []))
        ordinals.append(ordinal)
        texts.append(text)
    return parts


def with_ordinal(error: Exception, noun: str, ordinals: Sequence[int]) -> Exception:
    """An error names the place of an element in a shard's part: make it the place in the batch."""
    if isinstance(error, MeterError) and error.detail:
        first, _, rest = error.detail.partition(" ")
        number = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        if first == noun and number and int(number) <= len(ordinals):
            error.detail = f"{noun} {ordinals[int(number) - 1]}{rest[len(number) :]}"
    return error
