"""What a page says: its tables, the SELECTs that it shows, and its forms, which can be sent."""

from __future__ import annotations

import csv
import html
import io
import re
from html.parser import HTMLParser
from typing import Any

import httpx

from tests.helpers import Ledger

_SQL = re.compile(r'<details class="sql">.*?<code>(.*?)</code>', re.DOTALL)


class Page(HTMLParser):
    """A page that was read. Cells are texts, without the smaller second line."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.status = answer.status_code
        self.source = answer.text
        self.tables: dict[str, list[list[str]]] = {}
        self.forms: list[dict[str, str]] = []
        """The fields of each form; its address is under the name "action"."""
        self.links: dict[str, str] = {}
        """The address of the last link with a text."""
        self._table = self._link = self._text = ""
        self._in_body = False
        self._below = 0
        self.feed(answer.text)

    @property
    def text(self) -> str:
        """All that can be read, on one line."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.source)).split())

    @property
    def statements(self) -> list[str]:
        """The SELECTs, in their order."""
        return [html.unescape(one) for one in _SQL.findall(self.source)]

    def column(self, table: str, place: int) -> list[str]:
        """One column of a table."""
        return [row[place] for row in self.tables.get(table, [])]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "section":
            self._table = given.get("id", "")
        elif tag == "tbody":
            self.tables[self._table] = []
            self._in_body = True
        elif tag == "tr" and self._in_body:
            self.tables[self._table].append([])
        elif tag == "td":
            self.tables[self._table][-1].append("")
        elif tag == "div" and given.get("class") == "below":
            self._below += 1
        elif tag == "form":
            self.forms.append({"action": given["action"]})
        elif tag in ("input", "textarea", "select") and "name" in given:
            self.forms[-1][given["name"]] = given.get("value", "")
        elif tag == "a":
            self._link, self._text = given["href"], ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "tbody":
            self._in_body = False
        elif tag == "div" and self._below:
            self._below -= 1
        elif tag == "a":
            self.links[self._text.strip()] = self._link

    def handle_data(self, data: str) -> None:
        self._text += data
        if self._in_body and not self._below and self.tables[self._table] and self.tables[self._table][-1]:
            self.tables[self._table][-1][-1] += data.strip()


def read(client: httpx.Client, path: str, **query: Any) -> Page:
    """The page."""
    return Page(client.get(path, params=query) if query else client.get(path))


def send(client: httpx.Client, page: Page, action: str, **fields: str) -> Page:
    """Fill in the form of the page with that address and send it. What it has already may say which one."""
    (form,) = [
        one
        for one in page.forms
        if one["action"] == action and all(one.get(name) in ("", value) for name, value in fields.items())
    ]
    values = {name: value for name, value in form.items() if name != "action"} | fields
    return Page(client.post(action, data=values))


def token(client: httpx.Client) -> str:
    """What every form of this browser has."""
    return read(client, "/").forms[-1]["form_token"]


def rows_of_csv(client: httpx.Client, path: str, table: str, **query: Any) -> list[dict[str, str]]:
    """A table as CSV."""
    answer = client.get(path, params={**query, "csv": table})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def run(ledger: Ledger, statement: str) -> list[Any]:
    """The rows of a SELECT that a page shows."""
    return ledger.rows(statement.replace("%", "%%"))
