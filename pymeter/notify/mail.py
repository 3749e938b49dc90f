"""One attempt to send by e-mail."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import anyio.to_thread

from pymeter.models import ClaimedDelivery
from pymeter.notify.options import Options, Result
from pymeter.secrets import Secret

_PORTS = {"smtp": 25, "smtps": 465}


class BadServer(Exception):
    """A mail server that is not given, or cannot be used. The message has no password."""


@dataclass(frozen=True)
class MailServer:
    """A mail server. `password` is a Secret, so that its repr shows nothing."""

    host: str
    port: int
    implicit_tls: bool
    user: str | None
    password: Secret | None
    sender: str

    @classmethod
    def parse(cls, url: str) -> MailServer:
        """The server of smtp://user:password@host:port?from=address, or smtps://. Raises BadServer."""
        try:
            split = urlsplit(url)
            if split.password:
                Secret(split.password)  # as it is written; decoded below
            if split.scheme not in _PORTS or not split.hostname:
                raise ValueError
            return cls(
                split.hostname,
                split.port or _PORTS[split.scheme],
                split.scheme == "smtps",
                unquote(split.username) if split.username else None,
                Secret(unquote(split.password)) if split.password else None,
                parse_qs(split.query).get("from", [f"pymeter@{socket.getfqdn()}"])[0],
            )
        except ValueError:
            raise BadServer("the mail server is not smtp://user:password@host:port?from=address") from None


class MailSender:
    """Sends by SMTP, each message over a connection of its own, in a thread."""

    def __init__(self, options: Options) -> None:
        self._server = None if options.smtp_url is None else MailServer.parse(options.smtp_url)
        self._timeout = options.timeout
        self._tls = ssl.create_default_context(cafile=options.ca_file)
        self._threads = anyio.CapacityLimiter(options.connections)

    async def send(self, delivery: ClaimedDelivery) -> Result:
        """Make one attempt. Raises BadServer."""
        if self._server is None:
            raise BadServer("there is no mail server: set PYMETER_SMTP_URL")
        return await anyio.to_thread.run_sync(
            self._send, delivery, self._server, abandon_on_cancel=True, limiter=self._threads
        )

    def _send(self, delivery: ClaimedDelivery, server: MailServer) -> Result:
        try:
            message = _message(delivery, server)
            with self._connected(server) as smtp:
                smtp.send_message(message)
        except smtplib.SMTPResponseException as error:
            return Result("failed", f"SMTP {error.smtp_code}")
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            return Result("failed", f"SMTP {', '.join(map(str, codes))}: the recipient was refused")
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return Result("failed", type(error).__name__)
        return Result("delivered")

    def _connected(self, server: MailServer) -> smtplib.SMTP:
        smtp: smtplib.SMTP
        if server.implicit_tls:
            smtp = smtplib.SMTP_SSL(server.host, server.port, timeout=self._timeout, context=self._tls)
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=self._timeout)
        try:
            smtp.ehlo_or_helo_if_needed()
            if not server.implicit_tls and smtp.has_extn("starttls"):
                smtp.starttls(context=self._tls)
            elif not server.implicit_tls and server.password is not None:
                raise BadServer("the mail server has no TLS, so it is not given a password")
            if server.user is not None and server.password is not None:
                smtp.login(server.user, server.password.reveal())
        except BaseException:
            smtp.close()
            raise
        return smtp


def _message(delivery: ClaimedDelivery, server: MailServer) -> EmailMessage:
    content = json.loads(delivery.body)
    message = EmailMessage()
    message["From"] = server.sender
    message["To"] = (delivery.url or "").removeprefix("mailto:")
    message["Subject"] = " ".join(str(content["subject"]).split())
    message["Date"] = formatdate()
    # The same at every attempt, so that a reader shows a repetition once.
    message["Message-ID"] = f"<{delivery.message_id}@pymeter>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(content["text"])
    return message
