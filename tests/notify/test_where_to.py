"""Where a sender connects: never to private addresses, and only to hosts that can prove who they are."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

from pymeter.notify.addresses import is_public
from tests.notify.receiver import SECRET, Receiver, receiving
from tests.notify.test_sender import Site, receiver, site

__all__ = ["receiver", "site"]

_REFUSED = "the host has an address that is not public; --allow-private would send there"
_lookup = socket.getaddrinfo


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "192.0.0.192"),
        *("168.63.129.16", "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1", "198.18.0.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1"),
        *("64:ff9b:1::101:101", "64:ff9b:1:a9fe:a9:fe00:101:101", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1"),
    ],
)
def test_an_address_that_is_not_public_is_none_to_send_to(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "93.184.216.34",
        "2606:4700:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
        "2002:101:101::1",
    ],
)
def test_a_public_address_is_one_to_send_to(address: str) -> None:
    assert is_public(address)


class Names:
    """A name server: ``answers[host]`` is what it answers, one list after another; the last one stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []

    def __call__(self, host: Any, port: Any, *args: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.answers:
            return _lookup(host, port, *args, **named)
        self.asked.append(name)
        answers = self.answers[name]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in found
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    return made


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Callable[[str], Receiver]]:
    """``secure("hooks.test")``: a receiver with a certificate for that host."""
    with_tls: list[Any] = []

    def new(host: str) -> Receiver:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(host).configure_cert(context)
        with_tls.append(receiving(context))
        made: Receiver = with_tls[-1].__enter__()
        return made

    yield new
    for one in with_tls:
        one.__exit__(None, None, None)


def only(site: Site) -> Any:
    (one,) = site.outbox.all()
    return one


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]", "0"],
)
def test_however_a_private_address_is_written_nothing_is_sent_there(site: Site, host: str) -> None:
    port = site.receiver.url.rsplit(":", 1)[1]
    site.endpoint("ops", f"https://{host}:{port}/")
    site.outbox.tell("a")
    assert site.run(allow_private=False).failed == 1
    assert only(site).error in (_REFUSED, "the host cannot be looked up: gaierror")
    assert site.receiver.got == []


@pytest.mark.parametrize("answer", [["10.0.0.7"], ["169.254.169.254"], ["93.184.216.34", "127.0.0.1"]])
def test_a_name_with_a_private_address_is_refused_also_beside_a_public_one(
    site: Site, names: Names, answer: list[str]
) -> None:
    names.answers["rebind.test"] = [answer]
    site.endpoint("ops", "https://rebind.test/")
    site.outbox.tell("a")
    assert site.run(allow_private=False).failed == 1
    assert only(site).error == _REFUSED


def test_a_name_server_that_changes_its_mind_is_asked_once_and_what_was_checked_is_connected_to(
    site: Site, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First a public address, then a private one: the private one is never connected to."""
    import anyio

    connected: list[str] = []

    async def connect(remote_host: str, *_args: Any, **_named: Any) -> Any:
        connected.append(remote_host)
        raise OSError

    monkeypatch.setattr(anyio, "connect_tcp", connect)
    names.answers["rebind.test"] = [["93.184.216.34"], ["127.0.0.1"]]
    site.endpoint("ops", "https://rebind.test/")
    site.outbox.tell("a")
    assert site.run(allow_private=False).failed == 1
    assert names.asked == ["rebind.test"]
    assert connected == ["93.184.216.34"]
    assert only(site).error == "the connection could not be made"
    site.outbox.retry()
    assert site.run(allow_private=False).failed == 1
    assert connected == ["93.184.216.34"]
    assert only(site).error == _REFUSED


def test_plain_http_is_refused_to_public_hosts(site: Site, names: Names) -> None:
    names.answers["plain.test"] = [["93.184.216.34"]]
    site.endpoint("ops", "http://plain.test/")
    site.outbox.tell("a")
    assert site.run(allow_private=False).failed == 1
    assert only(site).error == "the URL is not https; --allow-private would send in the clear"
    assert names.asked == []


def test_a_redirect_is_a_failure_and_not_followed(site: Site) -> None:
    site.endpoint("ops")
    site.receiver.faults["/ops"] = ["redirect"]
    site.outbox.tell("a")
    assert site.run().failed == 1
    assert [one.path for one in site.receiver.got] == ["/ops"]
    assert (only(site).error, only(site).status) == ("HTTP 307", 307)


def test_tls_is_verified_for_the_name_although_the_address_is_connected_to(
    site: Site, names: Names, authority: trustme.CA, secure: Callable[[str], Receiver], tmp_path: Any
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    names.answers |= {"hooks.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]}
    target = secure("hooks.test")
    port = target.url.rsplit(":", 1)[1]
    site.endpoint("right", f"https://hooks.test:{port}/right?x=%20y")
    site.endpoint("wrong", f"https://other.test:{port}/wrong")
    site.outbox.tell("a")
    site.run(ca_file=tmp_path / "ca.pem")
    (got,) = target.got
    assert (got.path, got.headers["host"]) == ("/right?x=%20y", f"hooks.test:{port}")
    states = {one.endpoint: (one.state, one.error) for one in site.outbox.all()}
    assert states["right"] == ("delivered", None)
    assert states["wrong"][0] == "planned"
    assert states["wrong"][1].startswith("TLS failed")
    site.outbox.retry()
    site.run()  # which does not know this authority
    site.outbox.tell("b")
    site.run()
    assert len(target.got) == 1
    assert target.secret == SECRET


def test_two_hosts_at_one_address_do_not_share_a_connection(
    site: Site, names: Names, authority: trustme.CA, secure: Callable[[str], Receiver], tmp_path: Any
) -> None:
    """A connection was verified for one host: to the other it would be unverified."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    names.answers |= {"hooks.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]}
    target = secure("hooks.test")
    port = target.url.rsplit(":", 1)[1]
    site.endpoint("right", f"https://hooks.test:{port}/right")
    site.outbox.tell("a")
    with site.pool() as pool:
        notifier = site.notifier(pool, ca_file=tmp_path / "ca.pem")
        notifier.run_once()
        site.endpoint("wrong", f"https://other.test:{port}/wrong")
        site.outbox.tell("a", "a", "a")
        notifier.run_once()
    assert {one.path for one in target.got} == {"/right"}


def test_a_proxy_of_the_environment_is_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        site.endpoint("ops")
        site.outbox.tell("a")
        assert site.run().delivered == 1
        assert (len(site.receiver.got), proxy.got) == (1, [])
