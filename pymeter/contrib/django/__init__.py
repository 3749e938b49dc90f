"""A meter on Django's own connection; as an app, it also installs pymeter with ``manage.py migrate``."""

from __future__ import annotations

from pymeter.contrib.django._meter import async_meter, meter

__all__ = ["async_meter", "meter"]
