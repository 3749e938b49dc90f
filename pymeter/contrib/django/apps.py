"""The app: ``manage.py migrate`` also installs or upgrades pymeter, in the databases of a test run, too.

It is no migration of Django's, because those run once, and every version of pymeter brings functions anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.signals import post_migrate
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from pymeter.migrate import migrate


class PymeterConfig(AppConfig):  # type: ignore[misc]
    """Installs pymeter into the databases and schemas of settings.PYMETER_SCHEMAS."""

    name = "pymeter.contrib.django"
    label = "pymeter"
    verbose_name = "pymeter"

    def ready(self) -> None:
        post_migrate.connect(_install, sender=self)


def _install(using: str, **_: Any) -> None:
    schemas: Mapping[str, str] = getattr(settings, "PYMETER_SCHEMAS", {DEFAULT_DB_ALIAS: "meter"})
    if using in schemas:
        migrate(_dsn(using), schemas[using])


def _dsn(using: str) -> str:
    """The DSN of the database that Django's connection is to: a test run's, if it is one."""
    wrapper = connections[using]
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    parameters = {key: value for key, value in wrapper.get_connection_params().items() if key in known}
    if role := wrapper.settings_dict["OPTIONS"].get("assume_role"):
        # Django sets it after connecting. It is to own what is installed.
        escaped = str(role).replace("\\", "\\\\").replace(" ", "\\ ")
        parameters["options"] = f"{parameters.get('options', '')} -c role={escaped}".strip()
    return make_conninfo(**parameters)
