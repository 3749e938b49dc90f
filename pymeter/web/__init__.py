"""The HTTP API: an ASGI application that calls the meter's functions in the role of the request's key."""

from __future__ import annotations
