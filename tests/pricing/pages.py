"""Reads an invoice's page as its readers do: texts, and amounts in their places."""

from __future__ import annotations

from decimal import Decimal
from xml.etree import ElementTree

Element = ElementTree.Element


class Page:
    """A page that is well-formed, as XML too, so that no reader has to guess where an element ends."""

    def __init__(self, text: str) -> None:
        assert text.startswith("<!DOCTYPE html>\n<html ")
        self.text = text
        self.root = ElementTree.fromstring(text)

    def elements(self, name: str = "*", of: str | None = None) -> list[Element]:
        """In order; `of` is one of the classes."""
        return [
            one for one in self.root.iter(None if name == "*" else name) if of is None or of in _classes(one)
        ]

    def words(self, name: str = "*", of: str | None = None) -> list[str]:
        return [words(one) for one in self.elements(name, of)]

    @property
    def body(self) -> str:
        return words(self.elements("main")[0])

    @property
    def rows(self) -> list[tuple[str, str, str, str, Decimal | None]]:
        """Of each line: the text, quantity, unit, unit price and amount."""
        return [
            (words(one[0]), cell(one, "quantity"), cell(one, "unit"), cell(one, "rate"), amount(one))
            for one in self.elements("tr", "line")
        ]

    @property
    def groups(self) -> list[tuple[str, Decimal | None, list[Decimal | None]]]:
        """Of each item: its title, the sum that it shows, and the amounts of its rows."""
        return [
            (
                words(next(one for one in body.iter("div") if "title" in _classes(one))),
                amount(body[0]),
                [amount(row) for row in body if "line" in _classes(row)],
            )
            for body in self.elements("tbody", "item")
        ]

    @property
    def sums(self) -> list[tuple[str, str]]:
        """Below the lines: the title, and the amount with its currency."""
        found = next((one for one in self.elements("table", "sums")), None)
        return [] if found is None else [(words(row[0][0]), words(row[1])) for row in found.iter("tr")]


def words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def cell(row: Element, of: str) -> str:
    return next((words(one) for one in row if of in _classes(one)), "")


def amount(row: Element) -> Decimal | None:
    """What a program reads, which has to be what people read; None if there is none, or it is unknown."""
    (place,) = [one for one in row if "amount" in _classes(one)] or [None]
    found = None if place is None else next(place.iter("data"), None)
    if found is None or words(found).startswith("unknown"):
        assert found is None or found.get("value") == ""
        return None
    value = Decimal(found.attrib["value"])
    shown = words(found).split()[0].replace(",", "").replace("\N{MINUS SIGN}", "-")
    assert shown == found.attrib["value"]
    return value


def _classes(element: Element) -> list[str]:
    return element.get("class", "").split()
