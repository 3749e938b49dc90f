"""One attempt to send by HTTP: Standard Webhooks, and Slack."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType

import anyio
import httpx

from pymeter import __version__
from pymeter.models import ClaimedDelivery
from pymeter.notify.addresses import BadAddress, resolve
from pymeter.notify.keys import Secrets
from pymeter.notify.options import Options, Result
from pymeter.notify.signing import signature
from pymeter.secrets import Secret

_ANSWER_BYTES_MAX = 65_536
_RETRY_AFTER_MAX = 7 * 86400.0
_FAILURES: dict[type[Exception], str] = {
    httpx.ConnectError: "the connection could not be made",
    httpx.TimeoutException: "no answer in time",
    httpx.RemoteProtocolError: "the answer was not complete",
    httpx.NetworkError: "the connection broke",
}
_PORTS = {"https": 443, "http": 80}


class HttpSender:
    """Sends by HTTP. The connections to a host are kept for the next deliveries to it."""

    def __init__(self, options: Options, secrets: Secrets) -> None:
        self._options = options
        self._secrets = secrets
        self._tls = ssl.create_default_context(cafile=options.ca_file)
        self._threads = anyio.CapacityLimiter(options.connections)
        self._clients: dict[tuple[str, str, str, int], httpx.AsyncClient] = {}

    async def __aenter__(self) -> HttpSender:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            for client in self._clients.values():
                await client.aclose()

    async def send(self, delivery: ClaimedDelivery) -> Result:
        """Make one attempt. What goes wrong on the way is a result; BadSecret and BadAddress are raised."""
        body = delivery.body.encode()
        headers = {"content-type": "application/json", "user-agent": f"pymeter/{__version__}"}
        url = self._url(delivery)
        if delivery.format == "standard":
            timestamp = int(time.time())
            headers |= {"webhook-id": delivery.message_id, "webhook-timestamp": str(timestamp)}
            if delivery.secret_name is not None:
                keys = self._secrets.signing_keys(delivery.secret_name)
                headers["webhook-signature"] = signature(keys, delivery.message_id, timestamp, body)
        return await self._post(delivery.endpoint, url, headers, body)

    def _url(self, delivery: ClaimedDelivery) -> httpx.URL:
        if delivery.format != "slack" or delivery.secret_name is None:
            return _parse(delivery.url or "", allow_private=self._options.allow_private)
        secret = self._secrets.get(delivery.secret_name).reveal()
        url = _parse(secret, allow_private=self._options.allow_private)
        Secret(url.raw_path.decode("ascii"))  # it is the secret part, and the host is replaced by its address
        return url

    async def _post(self, name: str, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> Result:
        """Post to the first address that can be connected to."""
        host = url.raw_host.decode("ascii")
        port = url.port or _PORTS[url.scheme]
        addresses = await resolve(
            host.strip("[]"), port, allow_private=self._options.allow_private, limiter=self._threads
        )
        client = self._client(name, url.scheme, host, port)
        failure = Result("failed", "the host has no address")
        for address in addresses:
            # The address that was checked is connected to: a second look-up might have another answer.
            request = client.build_request(
                "POST",
                url.copy_with(host=address),
                headers={**headers, "host": url.netloc.decode("ascii")},
                content=body,
                extensions={"sni_hostname": host.strip("[]")},
            )
            try:
                return await self._exchange(client, request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = Result("failed", _told(error))
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
                return Result("failed", _told(error))
        return failure

    async def _exchange(self, client: httpx.AsyncClient, request: httpx.Request) -> Result:
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            received = 0
            async for chunk in response.aiter_raw():
                received += len(chunk)
                if received > _ANSWER_BYTES_MAX:
                    break  # the status is the answer
        finally:
            await response.aclose()
        return _result(response)

    def _client(self, endpoint: str, scheme: str, host: str, port: int) -> httpx.AsyncClient:
        """The client of an endpoint and host.

        A connection was verified for that host alone, whatever address it has; and httpx looks at every
        connection of a client for each request.
        """
        key = (endpoint, scheme, host, port)
        if key not in self._clients:
            self._clients[key] = httpx.AsyncClient(
                verify=self._tls,
                timeout=httpx.Timeout(self._options.timeout),
                trust_env=False,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            )
        return self._clients[key]


def _parse(text: str, *, allow_private: bool) -> httpx.URL:
    try:
        url = httpx.URL(text)
        usable = url.scheme in _PORTS and bool(url.host) and not url.userinfo and url.port != 0
    except (httpx.InvalidURL, ValueError, TypeError):
        usable = False
    if not usable:
        raise BadAddress("the URL is not an absolute http or https URL without user")
    if url.scheme == "http" and not allow_private:
        raise BadAddress("the URL is not https; --allow-private would send in the clear")
    return url


def _told(error: Exception) -> str:
    """What went wrong, without anything that a server has written."""
    if isinstance(error, httpx.ConnectError) and isinstance(_root(error), ssl.SSLError):
        return "TLS failed: the certificate is not valid for the host, or the handshake broke"
    for kind, text in _FAILURES.items():
        if isinstance(error, kind):
            return text
    return type(error).__name__


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _result(response: httpx.Response) -> Result:
    status = response.status_code
    if 200 <= status < 300:
        return Result("delivered", status=status)
    if status == 410:
        return Result("gone", "HTTP 410", status)
    wait = retry_after(response.headers.get("retry-after")) if status in (429, 503) else None
    return Result("failed", f"HTTP {status}", status, wait)


def retry_after(text: str | None) -> float | None:
    """The seconds of a header Retry-After, which are a number or a date; None: there are none."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:10])
    else:
        try:
            at = parsedate_to_datetime(text)
        except (TypeError, ValueError, OverflowError):  # such as a year that no date has
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        seconds = (at - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _RETRY_AFTER_MAX)
