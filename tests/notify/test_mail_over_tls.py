"""E-mail over TLS with a login, and texts of strangers in it."""

from __future__ import annotations

import email
import email.policy
import json
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from hypothesis import given
from hypothesis import strategies as st

from pymeter.models import ClaimedDelivery
from pymeter.notify.mail import MailServer, _message
from tests.helpers import examples
from tests.notify.receiver import closed_port
from tests.notify.test_mail_and_slack import mail_to
from tests.notify.test_sender import Site, receiver, site

__all__ = ["receiver", "site"]

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")  # behind implicit TLS

PASSWORD = "PLANTED-pass/word"
QUOTED = "PLANTED-pass%2Fword"


class Server:
    """A mail server that takes messages only after a login over TLS."""

    def __init__(self, implicit: bool, context: ssl.SSLContext) -> None:
        self.messages: list[EmailMessage] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.port = closed_port()
        tls: dict[str, Any] = (
            {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": True}
        )
        self.controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self._authenticate,
            auth_required=True,
            auth_require_tls=not implicit,
            **tls,
        )

    def _authenticate(self, _server: Any, session: Any, _envelope: Any, _kind: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 OK"


def _connect_once(port: int, implicit: bool) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, ExitStack() as stack:
        context = ssl._create_unverified_context()
        connection = stack.enter_context(context.wrap_socket(plain)) if implicit else plain
        assert connection.recv(3) == b"220"


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made, tmp_path / "ca.pem"


@pytest.fixture
def serve(authority: tuple[trustme.CA, Path]) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def new(implicit: bool, host: str = "localhost") -> Server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority[0].issue_cert(host).configure_cert(context)
        made = Server(implicit, context)
        # It connects once to see whether it runs, and does not know this authority.
        made.controller._trigger_server = partial(_connect_once, made.port, implicit)  # type: ignore[method-assign]
        made.controller.start()
        started.append(made)
        return made

    yield new
    for one in started:
        one.controller.stop()


def url(server: Server, password: str = QUOTED) -> str:
    scheme = "smtps" if server.controller.ssl_context else "smtp"
    return f"{scheme}://me%40x:{password}@localhost:{server.port}?from=meter@example.com"


@pytest.mark.parametrize("implicit", [True, False], ids=["smtps", "starttls"])
def test_mail_is_sent_over_tls_after_a_login(
    site: Site,
    serve: Callable[..., Server],
    authority: tuple[trustme.CA, Path],
    implicit: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(implicit)
    mail_to(site)
    site.outbox.tell("acct_1")
    assert site.run(smtp_url=url(server), ca_file=authority[1]).delivered == 1
    assert server.logins == [(b"me@x", PASSWORD.encode())]
    (message,) = server.messages
    assert message["Subject"] == "threshold.exceeded m acct_1"
    sender_logs = [one.getMessage() for one in caplog.records if one.name.startswith("pymeter")]
    assert "PLANTED" not in str(sender_logs)


@pytest.mark.parametrize("implicit", [True, False], ids=["smtps", "starttls"])
def test_a_server_that_cannot_prove_its_name_is_not_given_the_password(
    site: Site, serve: Callable[..., Server], authority: tuple[trustme.CA, Path], implicit: bool
) -> None:
    unknown, other = serve(implicit), serve(implicit, "other.test")
    mail_to(site)
    site.outbox.tell("acct_1")
    assert site.run(smtp_url=url(unknown)).failed == 1  # its authority is not trusted
    site.outbox.retry()
    assert site.run(smtp_url=url(other), ca_file=authority[1]).failed == 1
    assert (unknown.logins, other.logins) == ([], [])
    assert (unknown.messages, other.messages) == ([], [])
    assert site.outbox.all()[0].error == "SSLCertVerificationError"


def test_a_refused_login_is_a_failure_without_the_password(
    site: Site, serve: Callable[..., Server], authority: tuple[trustme.CA, Path]
) -> None:
    server = serve(True)
    mail_to(site)
    site.outbox.tell("acct_1")
    assert site.run(smtp_url=url(server, "PLANTED-wrong"), ca_file=authority[1]).failed == 1
    (one,) = site.outbox.all()
    assert one.error == "SMTP 535"
    assert server.messages == []


@given(subject=st.text(max_size=300), text=st.text(max_size=2000))
@examples(200)
def test_whatever_a_notification_says_is_in_its_subject_and_text_and_in_no_other_header(
    subject: str, text: str
) -> None:
    subject, text = (one.replace("\0", "").encode(errors="replace").decode() for one in (subject, text))
    delivery = ClaimedDelivery(
        delivery_id=1,
        attempt=1,
        message_id="msg_1_1",
        endpoint="mail",
        url="mailto:ops@example.com",
        format="email",
        secret_name=None,
        type="metric.defined",
        subject=None,
        body=json.dumps({"subject": f"x {subject} x", "text": f"x{text}x"}),
        leased_until="2026-01-01T00:00:00Z",  # type: ignore[arg-type]
    )
    raw = bytes(_message(delivery, MailServer.parse("smtp://localhost?from=a@b.c")))
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert set(parsed.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
    }
    assert parsed["To"] == "ops@example.com"
    assert parsed.get_content().startswith("x")
