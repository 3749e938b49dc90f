"""The biller for OpenMeter, and for servers that ingest CloudEvents as it does (extra ``openmeter``)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from pymeter import __version__, exact_json
from pymeter.report.answers import describe, not_answered
from pymeter.report.biller import (
    BillerError,
    BillerRefused,
    BillerUnavailable,
    Failure,
    Outcome,
    Sendable,
    Total,
)
from pymeter.report.biller import Step as Step
from pymeter.report.openmeter import wire
from pymeter.secrets import find_secret, redact, redact_logs

if TYPE_CHECKING:
    from pymeter.report.http import Connections

DEFAULT_URL = "https://openmeter.cloud"
DEFAULT_RATE = 100.0
"""Calls a second. What the cloud allows depends on the contract, and a server of one's own on its size."""

_PAGE = 1000
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HINT = "Set OPENMETER_TOKEN, or OPENMETER_TOKEN_FILE to a file that holds it."


class OpenMeterBiller:
    """Sends pushes as CloudEvents, and reads the totals of meters. Thread-safe.

    The token is `token`, else OPENMETER_TOKEN, else the content of the file OPENMETER_TOKEN_FILE; a server of
    your own may need none. `url` is the server (OPENMETER_URL, else OpenMeter's cloud). OpenMeter
    recognises an event by `source` and identifier, so a changed source counts what is sent again twice.
    `value_key` is the key of the value in the event's data. `meters` maps event names to the slugs of the
    meters to compare with; without it the meters are listed. `timeout`, `rate` (100) and `connections` are
    those of StripeBiller. `test_mode` says that the server bills nobody: rehearsals need it.

        Reporter(pool, OpenMeterBiller(), biller_name="openmeter").run_once()
    """

    adapter = "openmeter"

    def __init__(
        self,
        token: str | None = None,
        *,
        token_file: str | os.PathLike[str] | None = None,
        url: str | None = None,
        source: str = "pymeter",
        value_key: str = "value",
        meters: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        rate: float = DEFAULT_RATE,
        connections: int = 16,
        test_mode: bool = False,
    ) -> None:
        self._token = find_secret(token, token_file, "OPENMETER_TOKEN")
        self.url = (url or os.environ.get("OPENMETER_URL") or DEFAULT_URL).rstrip("/")
        self.source = source
        self.value_key = value_key
        self.meters = dict(meters or {})
        self.timeout = timeout
        self.rate = rate
        self.connections = connections
        self.test_mode = test_mode
        self._connections: Connections | None = None
        self._connecting = Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={redact(self.url)!r}, source={self.source!r})"

    def check(self) -> None:
        """Raise BillerRefused when address or token cannot be used, BillerError without `requests`."""
        if self._connections is not None:
            return
        parts = urlsplit(self.url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
            raise BillerRefused("the URL of OpenMeter is not an http or https address", "Set OPENMETER_URL.")
        if "@" in parts.netloc:
            raise BillerRefused("the URL of OpenMeter has a user or a password in it", _HINT)
        if self._token is None and self.url == DEFAULT_URL:
            raise BillerRefused("there is no OpenMeter token", _HINT)
        if self._token is not None and not re.fullmatch(r"[!-~]+", self._token.reveal()):
            raise BillerRefused("the OpenMeter token has characters that no token has", _HINT)
        if self._token is not None and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise BillerRefused("the OpenMeter token would be sent in the clear", "Use an https address.")
        with self._connecting:
            if self._connections is None:
                self._connections = self._connect()

    def close(self) -> None:
        """Close the connections. The biller may be used again."""
        if self._connections is not None:
            self._connections.close()
            self._connections = None

    def _connect(self) -> Connections:
        try:
            from pymeter.report.http import Connections
        except ModuleNotFoundError:
            hint = "pip install 'pymeter-ledger[openmeter]'"
            raise BillerError("requests is not installed", hint) from None
        redact_logs("urllib3.connectionpool")
        verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        return Connections(self.url, self.timeout, self.connections, verify=verify)

    # --- sending --------------------------------------------------------------------------------------------

    def send(self, push: Sendable) -> Outcome:
        """Send one push, once. Errors are outcomes, not exceptions."""
        if getattr(push, "statement_id", None) is not None:
            raise BillerRefused("an invoice item is no usage", "Send it with StripeInvoiceItems.")
        body = wire.cloud_event(push, self.source, self.value_key)
        answer = self._call("POST", "/api/v1/events", body, {"Content-Type": wire.CONTENT_TYPE})
        return answer if isinstance(answer, Outcome) else wire.outcome(*answer)

    def _call(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes] | Outcome:
        """Return the status, the headers and the body, or the Outcome without an answer."""
        self.check()
        assert self._connections is not None
        headers = {"User-Agent": f"pymeter/{__version__}", "Accept": "application/json", **headers}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.reveal()}"
        try:
            answer = self._connections.call(method, self.url + path, headers, body)
            return answer.status_code, answer.headers, answer.content
        except Exception as error:
            return not_answered(error)

    # --- reading --------------------------------------------------------------------------------------------

    def totals(
        self, customer: str, event_name: str, since: datetime, until: datetime, step: Step
    ) -> Sequence[Total]:
        """Return the sums of a meter. `since` and `until` are boundaries of `step`, in UTC.

        Any meter that adds up these events will do: each counts all of them, whenever it was created.

        Raises BillerError when there is no such meter, BillerUnavailable without an answer.
        """
        slug = self.meters.get(event_name) or self._meter_of(event_name, since)
        query = {
            "subject": customer,
            "from": wire.moment(since),
            "to": wire.moment(until),
            "windowSize": wire.WINDOW,
        }
        path = f"/api/v1/meters/{quote(slug, safe='')}/query"
        answer = self._read(path, query)
        with _readable(path):
            return wire.totals(answer["data"], since, until, step)

    def _meter_of(self, event_name: str, since: datetime) -> str:
        with _readable("/api/v1/meters"):
            meters = [m for m in self._all_meters() if wire.sums(m, event_name, self.value_key)]
            if not meters:
                raise BillerError(
                    f"OpenMeter has no meter that sums $.{self.value_key} of events of type {event_name}",
                    "Create it: it counts what was sent before, too. Or correct the mapping of the metric.",
                )
            first = min(meters, key=wire.counts_from)
            if wire.counts_from(first) > since:
                raise BillerError(
                    f"OpenMeter's meter {first['slug']} counts no events before {first['eventFrom']}"
                )
            return str(first["slug"])

    def _all_meters(self) -> list[Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        page = 1
        while True:
            rows = self._read("/api/v1/meters", {"page": str(page), "pageSize": str(_PAGE)})
            fresh = {row["id"]: row for row in rows if row["id"] not in found}
            found |= fresh
            if len(rows) < _PAGE or not fresh:  # older servers return all of them on every page
                return list(found.values())
            page += 1

    def _read(self, path: str, query: Mapping[str, str]) -> Any:
        answer = self._call("GET", f"{path}?{urlencode(query)}", None, {})
        if isinstance(answer, Outcome):
            raise BillerUnavailable(f"OpenMeter did not answer {path}: {answer.error}")
        status, headers, body = answer
        if status == 200:
            with _readable(path):
                return exact_json.loads(body)
        problem = wire.problem_in(headers, body)
        text = f"OpenMeter did not answer {path}: {describe(status, None, wire.message_of(problem))}"
        if status in (401, 403):
            raise BillerRefused(text, "Check the token and its permissions.")
        if problem is not None and 400 <= status < 500 and status != 429:
            raise BillerError(text)
        raise BillerUnavailable(text)

    # --- what failed after it was accepted ------------------------------------------------------------------

    def failures(self, since: datetime) -> Sequence[Failure]:
        """Return nothing: OpenMeter keeps what it cannot count, and counts it once there is a meter for it.

        Such an event must not be sent again under another identifier. That no meter counts it, `totals` says.
        """
        return ()

    def failure(self, event_id: str) -> Failure | None:
        """Return None: there are no reports of failures."""
        return None


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Raise BillerUnavailable for an answer that is not in the documented form."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        text = redact(f"{type(error).__name__}: {error}")[:200]
        raise BillerUnavailable(f"OpenMeter's answer to {path} cannot be read: {text}") from error
