"""CloudEvents 1.0 over HTTP, as events of the meter: structured, batched and binary.

The mapping is that of ``pymeter import``: an event that is sent and imported counts once.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers

from pymeter.importing.identity import pair_key
from pymeter.web import body
from pymeter.web.problems import bad_value

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_COUNTED = ("quantity", "member")


def is_binary(headers: Headers) -> bool:
    """Whether the attributes are in headers, and the body is the data."""
    return "ce-specversion" in headers


def from_binary(headers: Headers, raw: bytes) -> dict[str, Any]:
    """The event whose attributes are in headers that begin with ``ce-``."""
    attributes: dict[str, Any] = {
        name: _decoded(name, headers[f"ce-{name}"]) for name in _ATTRIBUTES if f"ce-{name}" in headers
    }
    attributes["datacontenttype"] = headers.get("content-type")
    attributes["data"] = _data_of_bytes(raw, attributes["datacontenttype"])
    return to_event(attributes)


def to_event(value: Any) -> dict[str, Any]:
    """What record() takes: `type` is the metric, `source` and `id` are the key.

    `data` has the quantity or member, and the rest of it is the metadata. Raises Problem 400.
    """
    if not isinstance(value, dict) or value.get("specversion") != "1.0":
        raise bad_value("not a CloudEvents 1.0 event", 'It needs "specversion": "1.0".', "specversion")
    for name in ("id", "source", "type", "subject"):
        if not isinstance(value.get(name), str) or not value[name].strip():
            raise bad_value(f"the CloudEvent has no {name}", f"{name} is a text that is not empty.", name)
    data = value.get("data")
    if value.get("data_base64") is not None:
        data = _data_of_base64(value)
    if data is not None and not isinstance(data, dict):
        raise bad_value("data is not a JSON object", 'Send it as {"quantity": 120, ...}.', "data")
    metadata = dict(data or {})
    event = {
        "subject": value["subject"],
        "metric": value["type"],
        "idempotency_key": pair_key(value["source"], value["id"]),
        "at": value.get("time"),
        **{name: metadata.pop(name, None) for name in _COUNTED},
        "metadata": metadata or None,
    }
    return {name: one for name, one in event.items() if one is not None}


def _decoded(name: str, text: str) -> str:
    """A header's value: percent-encoded UTF-8, perhaps in double quotes. Starlette gives bytes as Latin-1."""
    if _QUOTED.fullmatch(text):
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise bad_value(f"the header ce-{name} is not UTF-8", "Percent-encode it.", name) from None


def _data_of_bytes(raw: bytes, kind: str | None) -> Any:
    if not raw.strip():
        return None
    media_type = (kind or "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise bad_value("data is not JSON", "Send data as application/json.", "datacontenttype")
    return body.parsed(raw)


def _data_of_base64(value: dict[str, Any]) -> Any:
    text, kind = value["data_base64"], value.get("datacontenttype")
    if "data" in value or not isinstance(text, str) or not isinstance(kind, str | None):
        raise bad_value("data_base64 is not valid", "Send data, or data_base64 as a text.", "data_base64")
    try:
        return _data_of_bytes(base64.b64decode(text, validate=True), kind)
    except binascii.Error:
        raise bad_value("data_base64 is not Base64", "Send data as a JSON object.", "data_base64") from None
