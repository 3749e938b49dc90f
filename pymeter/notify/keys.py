"""Secrets by their names. The database has the names only."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pymeter.secrets import Secret

_PREFIX: Final = "whsec_"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_BYTES_MIN: Final = 16


class BadSecret(Exception):
    """A secret that is missing or cannot be used. The message has its name, never a part of it."""


class Secrets:
    """Reads secrets when they are needed, so that a file can be replaced while a sender runs.

    In this order: the environment variable of the name; the file that the variable ``<name>_FILE`` names;
    the file ``<name>`` in `directory`.
    """

    def __init__(self, directory: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._environment = os.environ if environment is None else environment

    def get(self, name: str) -> Secret:
        """The secret of that name. Raises BadSecret."""
        if not _NAME.fullmatch(name):
            raise BadSecret("the name of a secret is not that of a variable")
        text = self._environment.get(name) or self._read(name)
        if not (text := (text or "").strip()):
            raise BadSecret(f"there is no secret {name}")
        for part in re.split(r"[\s,]+", text):
            Secret(part)  # each of several is hidden by itself too
        return Secret(text)

    def _read(self, name: str) -> str | None:
        named = self._environment.get(f"{name}_FILE")
        path = Path(named) if named else self._directory / name if self._directory else None
        if path is None:
            return None
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            if isinstance(error, FileNotFoundError) and not named:
                return None
            raise BadSecret(f"the file of the secret {name} cannot be read: {type(error).__name__}") from None

    def signing_keys(self, name: str) -> list[bytes]:
        """The keys of a Standard Webhooks secret. Raises BadSecret.

        There are several, separated by spaces or commas, while a secret is rotated.
        """
        return [_decoded(name, part) for part in re.split(r"[\s,]+", self.get(name).reveal())]


def _decoded(name: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < _BYTES_MIN:
        raise BadSecret(f"the secret {name} is not {_PREFIX} and at least {_BYTES_MIN} bytes in base64")
    return key
