"""The programs of pymeter/web/README.md, run as they stand there: a lost answer counts nothing twice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pymeter.levels import LEVELS
from tests.docs.markdown import blocks
from tests.helpers import Ledger
from tests.web.conftest import Api

PAGE = (Path(__file__).resolve().parents[2] / "pymeter" / "web" / "README.md").read_text(encoding="utf-8")
_SECONDS_MAX = 120


class LosesTheFirstAnswer:
    """A proxy in front of the application: the first request is carried out, and answered with 503."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.began: list[float] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.began.append(time.monotonic())
        if scope["type"] != "http" or len(self.began) > 1:
            await self.application(scope, receive, send)
            return
        statuses = []

        async def lost(message: Any) -> None:
            statuses.append(message.get("status"))

        await self.application(scope, receive, lost)
        assert statuses[0] == 200
        await send({"type": "http.response.start", "status": 503, "headers": [(b"retry-after", b"1")]})
        await send({"type": "http.response.body", "body": b""})

    def assert_waited(self) -> None:
        assert self.began[1] - self.began[0] >= 1


@pytest.fixture
def losing(served: Callable[..., Api], metered: Ledger) -> tuple[Api, LosesTheFirstAnswer]:
    """acct_1 has used 5 of 1000."""
    metered.call("set_limit", metric="tokens", quota=1000, subject="acct_1", name="plan")
    proxies: list[LosesTheFirstAnswer] = []

    def around(application: Any) -> LosesTheFirstAnswer:
        proxies.append(LosesTheFirstAnswer(application))
        return proxies[0]

    return served(around), proxies[0]


def program_of(language: str, begins: str) -> str:
    (found,) = [b.text for b in blocks(PAGE) if b.language == language and b.text.startswith(begins)]
    return found


def run(api: Api, *command: str, folder: Path, status: int = 0) -> list[str]:
    environment = os.environ | {
        "METER_URL": api.base,
        "READ_KEY": api.key("read"),
        "WRITE_KEY": api.key("write"),
        "GO111MODULE": "off",
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout.splitlines()


def assert_counted_once(ledger: Ledger) -> None:
    assert ledger.usage("acct_1", "tokens").quantity == 125


def test_the_program_for_node(losing: Any, metered: Ledger, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    api, proxy = losing
    (tmp_path / "client.mjs").write_text(program_of("js", "const { METER_URL"), encoding="utf-8")
    printed = run(api, "node", "client.mjs", folder=tmp_path)
    refused = printed.pop(2)
    assert re.fullmatch(r"refused by limit plan: 875 left, wait \d+ s", refused), refused
    # The answer of the first request was lost, so what it has recorded is a duplicate of the second.
    assert printed == ["duplicate", "duplicate", "refused", "125 token", "req_1 120", "k 5"]
    proxy.assert_waited()
    assert_counted_once(metered)


@pytest.mark.slow
def test_the_program_in_go(losing: Any, metered: Ledger, tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    api, proxy = losing
    (tmp_path / "client.go").write_text(program_of("go", "package main"), encoding="utf-8")
    printed = run(api, "go", "run", "client.go", folder=tmp_path)
    assert printed == [*2 * ["duplicate plan 875"], "refused plan 875", "125 token"]
    proxy.assert_waited()
    assert_counted_once(metered)


def test_the_command_with_curl(losing: Any, metered: Ledger, tmp_path: Path) -> None:
    api, proxy = losing
    script = program_of("sh", "curl --silent")
    (printed,) = run(api, "bash", "-c", script, folder=tmp_path)
    assert '"outcome":"duplicate"' in printed
    proxy.assert_waited()
    assert_counted_once(metered)
    refused = script.replace("req_1", "req_2").replace('"120"', '"900"')
    (printed,) = run(api, "bash", "-c", refused, folder=tmp_path, status=22)
    assert '"limited_by":"plan"' in printed
    assert_counted_once(metered)


def test_what_other_apis_call_otherwise_exists_here_with_that_level() -> None:
    table = PAGE.split("\n## What other APIs call it\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 15
    for row in rows:
        here, level = row[-2], row[-1]
        names = set(re.findall(r"`([a-z_]+)`", here)) - {"marks", "after_id", "event_id", "rebuild"}
        assert names, row
        assert {LEVELS[name] for name in names} == {level}, row
