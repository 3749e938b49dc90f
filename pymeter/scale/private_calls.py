"""Calls of private functions of sql/scale: only the owner of a meter may make them."""

from __future__ import annotations

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models.values import Model


class Problem(Model):
    """Why something cannot be done, and what to do instead."""

    problem: str
    hint: str


def pin_problems(subject: str) -> Call[list[Problem]]:
    """Why the map cannot say that a subject lies on another shard than this one."""
    return Call("_pin_problems", (argument.text("subject", subject, required=True),), result.every(Problem))


def has_come(subject: str) -> Call[bool]:
    """Whether a subject is at home here and something is stored of it."""
    return Call("_has_come", (argument.text("subject", subject, required=True),), result.truth)
