"""Slack and e-mail; and secrets, which nobody sees."""

from __future__ import annotations

import email
import html
import json
import logging
import traceback
from collections.abc import Iterator
from email.message import Message
from typing import Any

import httpx
import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from psycopg import sql

from pymeter.notify.mail import BadServer, MailServer
from tests.notify.receiver import Receiver, closed_port, receiving
from tests.notify.test_sender import Site, receiver, site

__all__ = ["receiver", "site"]

PLANTED = "PLANTED"
KEY = "whsec_PLANTEDMfKQ9r8GKYqrTwjUPD8ILPZIo"


class Inbox:
    """A mail server of this machine; `refuses` is what it answers to the next messages."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.recipients: list[list[str]] = []
        self.refuses: list[str] = []
        self.logins: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refuses:
            return self.refuses.pop(0)
        self.messages.append(email.message_from_bytes(envelope.content))
        self.recipients.append(envelope.rcpt_tos)
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, str]]:
    handler = Inbox()

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        handler.logins.append(data)
        return AuthResult(success=isinstance(data, LoginPassword))

    port = closed_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port, authenticator=authenticate)
    controller.start()
    yield handler, f"smtp://127.0.0.1:{port}?from=meter@example.com"
    controller.stop()


def mail_to(site: Site, address: str = "ops@example.com") -> None:
    site.outbox.endpoint("mail", ["*"], url=f"mailto:{address}", format="email")


def test_mail_arrives_once_with_a_subject_and_an_id_that_stays_the_same(
    site: Site, inbox: tuple[Inbox, str]
) -> None:
    handler, url = inbox
    mail_to(site)
    handler.refuses = ["451 later"]
    site.outbox.tell("acct_1")
    assert site.run(smtp_url=url).failed == 1
    (one,) = site.outbox.all()
    assert one.error == "SMTP 451"
    site.run_to_the_end(smtp_url=url)
    (message,) = handler.messages
    assert handler.recipients == [["ops@example.com"]]
    assert (message["From"], message["To"]) == ("meter@example.com", "ops@example.com")
    assert message["Subject"] == "threshold.exceeded m acct_1"
    assert message["Message-ID"] == f"<{one.message_id}@pymeter>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "acct_1 has used 1 of 1 unit of m" in message.get_payload()


def test_a_subject_cannot_add_headers(site: Site, inbox: tuple[Inbox, str]) -> None:
    handler, url = inbox
    mail_to(site)
    site.outbox.tell("acct\r\nBcc: evil@example.com")
    site.run_to_the_end(smtp_url=url)
    (message,) = handler.messages
    assert message["Bcc"] is None
    assert handler.recipients == [["ops@example.com"]]


def test_without_a_mail_server_the_delivery_waits_and_says_why(site: Site) -> None:
    mail_to(site)
    site.outbox.tell("a")
    assert site.run().failed == 1
    assert site.outbox.all()[0].error == "there is no mail server: set PYMETER_SMTP_URL"


def test_a_password_is_not_given_to_a_server_without_tls(site: Site, inbox: tuple[Inbox, str]) -> None:
    handler, url = inbox
    mail_to(site)
    site.outbox.tell("a")
    assert site.run(smtp_url=url.replace("smtp://", "smtp://user:PLANTED-password@")).failed == 1
    assert site.outbox.all()[0].error == "the mail server has no TLS, so it is not given a password"
    assert (handler.logins, handler.messages) == ([], [])


@pytest.mark.parametrize("url", ["", "http://h", "smtp://", "smtp://h:x", "smtp://u:PLANTED-pass@:25"])
def test_a_mail_server_that_cannot_be_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadServer) as caught:
        MailServer.parse(url)
    assert PLANTED not in "".join(traceback.format_exception(caught.value))


def test_a_mail_server_is_read_from_its_url() -> None:
    server = MailServer.parse("smtps://me%40x:PLANTED%2Fp@mail.example.com?from=a@b.c")
    assert (server.host, server.port, server.implicit_tls, server.user, server.sender) == (
        *("mail.example.com", 465, True, "me@x", "a@b.c"),
    )
    assert server.password is not None
    assert server.password.reveal() == "PLANTED/p"
    assert PLANTED not in repr(server)


def test_slack_is_posted_a_text_at_its_secret_url(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.receiver.secret = None
    monkeypatch.setenv("SLACK_URL", f"{site.receiver.url}/services/T0/B0/PLANTEDslack")
    site.outbox.ledger.call(
        "define_endpoint", name="chat", url=None, types=["*"], format="slack", secret_name="SLACK_URL"
    )
    site.outbox.tell("acct_1")
    site.run()
    (one,) = _posted(site.receiver)
    assert one.path == "/services/T0/B0/PLANTEDslack"
    assert list(json.loads(one.body)) == ["text", "mrkdwn"]
    assert "acct_1 has used 1 of 1 unit of m" in json.loads(one.body)["text"]
    assert not {"webhook-id", "webhook-signature"} & one.headers.keys()


def _posted(receiver: Receiver) -> list[Any]:
    return [one for one in receiver.got if one.accepted]


def test_planted_secrets_are_in_no_log_row_or_repr_whatever_the_receiver_answers(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "httpcore.connection", "httpcore.http11", "pymeter.notify", "psycopg"):
        caplog.set_level(logging.DEBUG, logger=name)
    site.receiver.secret = None
    monkeypatch.setenv("HOOK_SECRET", KEY)
    monkeypatch.setenv("SLACK_URL", f"{site.receiver.url}/services/PLANTEDslack?x=1")
    site.endpoint("hook")
    site.outbox.endpoint("chat", url=None, format="slack", secret_name="SLACK_URL")
    mail_to(site)
    site.outbox.tell("a")
    faults = ["500", "redirect", "half a head", "garbage", "429", "404"]
    told: list[Any] = []
    with site.pool() as pool:
        notifier = site.notifier(pool, smtp_url="smtp://user:PLANTED-password@127.0.0.1:1")
        for fault in (*faults, None):
            site.receiver.faults = {
                path: [fault] if fault else [] for path in ("/hook", "/services/PLANTEDslack?x=1")
            }
            site.outbox.retry()
            told.append(notifier.run_once())
        told += [notifier, vars(notifier).values()]
    assert len(site.receiver.got) >= 2 * len(faults)
    assert {one.state for one in site.outbox.all() if one.endpoint != "mail"} == {"delivered"}
    told.append(site.outbox.all())
    assert caplog.records
    for record in caplog.records:
        text = f"{record.getMessage()} {record.args} {record.exc_info}"
        assert PLANTED not in text, record.name
    # Options have the mail server's URL; nobody prints it.
    for thing in told:
        assert PLANTED not in str(thing)
    with psycopg.connect(site.dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'meter'").fetchall()
        for (table,) in tables:
            rows = connection.execute(sql.SQL("SELECT t::text FROM meter.{} t").format(sql.Identifier(table)))
            assert PLANTED not in str(rows.fetchall())


def test_a_receiver_with_another_secret_refuses_and_the_delivery_waits(site: Site) -> None:
    with receiving(secret="whsec_" + "B" * 32) as other:
        site.endpoint("other", f"{other.url}/other")
        site.outbox.tell("a")
        assert site.run().failed == 1
        assert other.accepted() == []


def test_an_unexpected_error_is_logged_without_the_secret_that_its_text_has(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_URL", f"{site.receiver.url}/services/PLANTEDslack")
    site.outbox.endpoint("chat", url=None, format="slack", secret_name="SLACK_URL")
    site.outbox.tell("a")

    async def broken(_client: Any, request: httpx.Request, **_named: Any) -> Any:
        raise RuntimeError(f"cannot send to {request.url}")

    monkeypatch.setattr(httpx.AsyncClient, "send", broken)
    assert site.run().failed == 1
    assert "cannot send to" in caplog.text
    assert "Traceback" in caplog.text
    assert PLANTED not in caplog.text
    assert site.outbox.all()[0].error == "RuntimeError"


@pytest.mark.parametrize(
    "subject",
    [
        *("\x01\x7f", "\u202egnirts", "e\u0301\u0301", "\ufeff\u2028\u2029", "<!channel> & <@U1>", "a\tb\nc"),
        *("😀" * 512, "\ud7ff\ue000\U0010ffff", "'; --", "%s %(x)s {0}", '"\\u0000"', "*a* _b_ ~c~ `d`"),
    ],
    ids=ascii,
)
def test_a_subject_of_odd_characters_arrives_as_it_is_in_every_format(
    site: Site, inbox: tuple[Inbox, str], monkeypatch: pytest.MonkeyPatch, subject: str
) -> None:
    handler, url = inbox
    site.endpoint("hook")
    monkeypatch.setenv("SLACK_URL", f"{site.receiver.url}/chat")
    site.outbox.endpoint("chat", url=None, format="slack", secret_name="SLACK_URL")
    site.receiver.secret = None
    mail_to(site)
    site.outbox.tell(subject)
    assert site.run(smtp_url=url).delivered == 3
    bodies = {one.path: json.loads(one.body) for one in site.receiver.accepted()}
    assert bodies["/hook"]["subject"] == subject
    text = bodies["/chat"]["text"]
    assert html.unescape(text).startswith(f"threshold.exceeded: {subject} has used 1 of 1 unit of m")
    assert not {"<", ">"} & set(text)
    (message,) = handler.messages
    content = message.get_payload(decode=True)
    assert isinstance(content, bytes)
    expected = f"threshold.exceeded: {subject} has used".split()
    assert content.decode().split()[: len(expected)] == expected
