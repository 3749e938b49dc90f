"""Calls to Stripe by stripe-python (extra ``stripe``): the key, the connections, requests and pages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pymeter import exact_json
from pymeter.report.answers import not_answered
from pymeter.report.biller import BillerError, BillerRefused, BillerUnavailable, Outcome
from pymeter.report.stripe import wire
from pymeter.secrets import Secret, find_secret, redact, redact_logs

if TYPE_CHECKING:
    from stripe import StripeClient

DEFAULT_BASE = "https://api.stripe.com"
DEFAULT_STREAM_BASE = "https://meter-events.stripe.com"
TEST_RATE = 20.0
"""Calls a second: Stripe allows 25 of any kind with a test key."""

_NO_KEY_HINT = "Set STRIPE_API_KEY, or STRIPE_API_KEY_FILE to a file that holds it."
_TEST_PREFIXES = ("sk_test_", "rk_test_")


class StripeApi:
    """What the billers at Stripe share. Thread-safe. Retries are the journal's; the SDK makes none.

    The key is `api_key`, else STRIPE_API_KEY, else the content of the file STRIPE_API_KEY_FILE. `base`
    replaces Stripe's own address for every host (STRIPE_API_BASE), `timeout` is the seconds to wait for an
    answer, `rate` the calls a second, `connections` the number of connections that are kept open. `test_only`
    refuses a live key: for a rehearsal, which must not bill. Creating it does no I/O except reading the key's
    file.
    """

    adapter = "stripe"
    LIVE_RATE: float
    """Calls a second that Stripe allows with a live key."""

    def __init__(
        self,
        api_key: str | None = None,
        *,
        api_key_file: str | os.PathLike[str] | None = None,
        base: str | None = None,
        timeout: float = 30.0,
        rate: float | None = None,
        connections: int = 16,
        test_only: bool = False,
    ) -> None:
        self._key = find_secret(api_key, api_key_file, "STRIPE_API_KEY")
        self.base = (base or os.environ.get("STRIPE_API_BASE") or "").rstrip("/") or None
        self.timeout = timeout
        self.connections = connections
        self.test_only = test_only
        self.rate = rate if rate is not None else TEST_RATE if self.test_mode else self.LIVE_RATE
        self._client: StripeClient | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base={self.base or DEFAULT_BASE!r}, test_mode={self.test_mode})"

    @property
    def test_mode(self) -> bool:
        """Whether the key is one of Stripe's test keys."""
        return self._key is not None and self._key.reveal().startswith(_TEST_PREFIXES)

    def check(self) -> None:
        """Raise BillerRefused when there is no key, BillerError when stripe-python is not installed."""
        if self._key is None:
            raise BillerRefused("there is no Stripe API key", _NO_KEY_HINT)
        if not re.fullmatch(r"[!-~]+", self._key.reveal()):
            raise BillerRefused("the Stripe API key has characters that no key has", _NO_KEY_HINT)
        if self.test_only and not self.test_mode:
            raise BillerRefused("this biller takes test keys only", "A test key begins with sk_test_.")
        if self._client is None:
            self._client = self._connect(self._key)

    def close(self) -> None:
        """Close the connections. The biller may be used again."""
        if self._client is not None:
            self._connections.close()
            self._client = None

    def _connect(self, key: Secret) -> StripeClient:
        try:
            import stripe

            from pymeter.report.stripe.http import StripeConnections
        except ModuleNotFoundError:
            hint = "pip install 'pymeter-ledger[stripe]'"
            raise BillerError("stripe-python is not installed", hint) from None
        stripe.enable_telemetry = False  # it would write an id into the user's home and send it along
        redact_logs("stripe")
        bases = {"api": self.base or DEFAULT_BASE, "meter_events": self.base or DEFAULT_STREAM_BASE}
        self._connections = StripeConnections(bases["api"], self.timeout, self.connections)
        return stripe.StripeClient(
            key.reveal(),
            base_addresses=bases,  # type: ignore[arg-type]
            max_network_retries=0,
            http_client=self._connections,
        )

    # --- calls ----------------------------------------------------------------------------------------------

    def _request(self, method: str, url: str, params: Mapping[str, Any], **options: Any) -> Any:
        """Return the answer's JSON with exact numbers, or the Outcome of a failed call."""
        self.check()
        assert self._client is not None
        import stripe

        try:
            response = self._client.raw_request(method, url, **params, **options)
        except stripe.APIConnectionError as error:
            return not_answered(error)
        except stripe.StripeError as error:
            detail = error.json_body if isinstance(error.json_body, dict) else {}
            kind = detail["error"].get("type", "") if isinstance(detail.get("error"), dict) else None
            headers = error.headers if isinstance(error.headers, Mapping) else {}
            message = error.user_message if kind is not None else "no answer of Stripe's"
            return wire.failed(error.http_status or 0, error.code, kind, message, headers)
        except Exception as error:  # an unreadable answer proves nothing
            return Outcome("unknown", redact(f"{type(error).__name__}: {error}")[:500])
        try:
            body = exact_json.loads(response.body)
        except ValueError:
            body = None
        return body if isinstance(body, dict) else Outcome("unknown", "the answer is no JSON object")

    def _read(self, url: str, params: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._request("get", url, params)
        if not isinstance(answer, Outcome):
            return dict(answer)
        text = f"Stripe did not answer {url}: {answer.error}"
        if answer.refused:
            raise BillerRefused(text, "Check the key and its permissions.")
        if answer.result == "rejected":
            raise BillerError(text)
        raise BillerUnavailable(text)

    def _pages(self, url: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield every row of a v1 list."""
        page = self._read(url, params)
        while rows := page.get("data"):
            yield from rows
            if not page.get("has_more"):
                return
            page = self._read(url, {**params, "starting_after": rows[-1]["id"]})


@contextmanager
def readable(url: str) -> Iterator[None]:
    """Raise BillerUnavailable for an answer that is not in the documented form."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as error:
        text = redact(f"{type(error).__name__}: {error}")[:200]
        raise BillerUnavailable(f"Stripe's answer to {url} cannot be read: {text}") from error
