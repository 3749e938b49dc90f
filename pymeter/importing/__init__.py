"""Import files of usage events: CSV, JSON Lines and CloudEvents, gzipped or not, of any size.

    report = import_file("usage.csv.gz", lambda: psycopg.connect(dsn, autocommit=True))

A file is streamed in batches, each a transaction of its own. Importing it again, after an interruption or by
mistake, counts nothing twice: every line has an idempotency key, its own or one made from its place and its
text.
"""

from __future__ import annotations

from pymeter.importing.loading import ImportReport, Progress, import_file
from pymeter.importing.options import Extra, ImportOptions, OptionsError, Unkeyed
from pymeter.importing.reading import FileFormat, guess_format
from pymeter.importing.sending import ImportStopped
from pymeter.importing.staging import Window, stage_file

__all__ = [
    "Extra",
    "FileFormat",
    "ImportOptions",
    "ImportReport",
    "ImportStopped",
    "OptionsError",
    "Progress",
    "Unkeyed",
    "Window",
    "guess_format",
    "import_file",
    "stage_file",
]
