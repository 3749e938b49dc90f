"""Names and values, quoted: a bundle has no parameters."""

from __future__ import annotations


def identifier(name: str) -> str:
    """``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """``value`` as an SQL literal; needs ``standard_conforming_strings``, which ``lock`` switches on."""
    return "'" + value.replace("'", "''") + "'"


def array(names: tuple[str, ...]) -> str:
    """The names as the literal of an array."""
    return literal("{" + ",".join(names) + "}")


def do(body: str) -> str:
    """``body`` as a DO statement, in a dollar quote that does not occur in it, whatever the schema's name."""
    tag = "$do$"
    while tag in body:
        tag = tag[:-1] + "_$"
    return f"DO {tag}\n{body.strip()}\n{tag};"
