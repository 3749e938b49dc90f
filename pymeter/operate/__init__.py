"""Operating a meter: its numbers for Prometheus, and the files that monitoring and schedulers take.

`exposition` is the text that /metrics answers; `MeterCollector` is for a registry of prometheus_client.
Both need the extra ``prometheus``.
"""

from __future__ import annotations

from pymeter.operate.files import file_names, read_file
from pymeter.operate.prometheus import CONTENT_TYPE, MeterCollector, exposition

__all__ = ["CONTENT_TYPE", "MeterCollector", "exposition", "file_names", "read_file"]
