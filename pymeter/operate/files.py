"""The files for other programs: alert rules, a dashboard, units, a crontab."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

FILES: Final = {
    "alerts.yml": "Prometheus: a rule for each thing that needs somebody",
    "dashboard.json": "Grafana: a dashboard that asks PostgreSQL",
    "sql_exporter.yml": "sql_exporter: the numbers of operational_metrics()",
    "crontab": "cron: maintain, close, verify, notify, report",
    "pymeter-maintain.service": "systemd: maintain",
    "pymeter-maintain.timer": "systemd: maintain, daily",
    "pymeter-close.service": "systemd: close",
    "pymeter-close.timer": "systemd: close, hourly",
    "pymeter-verify.service": "systemd: verify",
    "pymeter-verify.timer": "systemd: verify, weekly",
    "pymeter-notify.service": "systemd: notify, always",
    "pymeter-report.service": "systemd: report to Stripe, always",
    "pymeter-web.service": "systemd: the HTTP API, always",
}


def file_names() -> list[str]:
    """The names of the files, in the order in which they are read about."""
    return list(FILES)


def read_file(name: str) -> str:
    """The text of a file. KeyError for an unknown name."""
    if name not in FILES:
        raise KeyError(name)
    return files("pymeter.operate").joinpath("carried", name).read_text(encoding="utf-8")
