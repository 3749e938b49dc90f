"""The stub of one function: PL/Proxy's alone where one shard is asked, else PL/pgSQL in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import indent

from pymeter.scale.rules import (
    AnyShard,
    Erasing,
    Everywhere,
    FirstShard,
    If,
    Merged,
    MergedDefinitions,
    OnId,
    OnSubject,
    Rule,
    SplitBySubject,
    Subjects,
)
from pymeter.scale.shard_map import ShardMap
from pymeter.scale.stubs_catalog import Field, Function
from pymeter.scale.stubs_merging import aggregated, distinct, ordering, pages, unsupported
from pymeter.scale.stubs_quoting import identifier, literal
from pymeter.scale.stubs_templates import (
    CHECKED_PAGE,
    DEFINED,
    DEFINITIONS,
    NEEDS_SUBJECT,
    ONE_ROW,
    ROWS,
    SPLIT,
)


@dataclass(frozen=True)
class _Stub:
    """A function, and where its front is."""

    schema: str
    server: str
    all: str
    """An array of the places of all shards."""
    function: Function

    def name(self, prefix: str = "") -> str:
        return f"{identifier(self.schema)}.{identifier(prefix + self.function.name)}"

    def argument(self, parameter: str) -> str:
        return f"${self.function.place(parameter)}"

    def routing(self, name: str, *arguments: str) -> str:
        return f"{self.schema}.{name}({', '.join(arguments)})"

    def on(self, shards: str, **changed: str) -> str:
        """The rows of these shards; `changed` has other values of some arguments."""
        given = [changed.get(field.name, f"${n}") for n, field in enumerate(self.function.fields, 1)]
        return f"{self.name('_on_')}({', '.join([shards, *given])})"

    @property
    def columns(self) -> tuple[Field, ...]:
        return self.function.columns or (Field("value", self.function.result),)

    @property
    def listed(self) -> str:
        return ", ".join(f"t.{identifier(column.name)}" for column in self.columns)

    @property
    def named(self) -> str:
        return ", ".join(identifier(column.name) for column in self.columns)


def stub_of(schema: str, server: str, shard_map: ShardMap, function: Function, rule: Rule) -> Iterator[str]:
    """The functions that make up the stub, in the order in which they are to be created."""
    every = ",".join(str(place) for place in range(len(shard_map.names)))
    stub = _Stub(schema, server, f"'{{{every}}}'::integer[]", function)
    place = _single(stub, rule)
    if place is not None:
        yield _proxied(stub, place)
        return
    yield _on_shards(stub)
    yield _wrapper(stub, _body(stub, rule))


def _single(stub: _Stub, rule: Rule) -> str | None:
    """The place of the one shard that is asked, whatever the arguments are; None if there may be several."""
    if isinstance(rule, AnyShard | FirstShard):
        return "0"
    if isinstance(rule, Erasing):
        return stub.routing("_shard_of_both", stub.argument("subject"), stub.argument("pseudonym"))
    if stub.function.name == "stage_correction":  # the clients look at the entries, too
        return stub.routing("_shard_of_entries", stub.argument("id"), stub.argument("entries"))
    if not isinstance(rule, OnSubject | OnId):
        return None
    if rule.otherwise is None or _single(stub, rule.otherwise) == "0":
        return _one(stub, rule)
    return None


def _one(stub: _Stub, rule: OnSubject | OnId) -> str:
    """The place of the shard of the subject or the id."""
    if isinstance(rule, OnId):
        return stub.routing("_shard_of_id", stub.argument(rule.argument), literal(rule.argument))
    return stub.routing("_shard_of", stub.argument("subject"))


def _places(stub: _Stub, rule: Rule) -> tuple[str, Rule]:
    """An array of the shards to be asked, and the rule that says what is done with their answers."""
    if isinstance(rule, OnSubject | OnId) and rule.otherwise is not None:
        others, final = _places(stub, rule.otherwise)
        given = stub.argument(rule.argument if isinstance(rule, OnId) else "subject")
        return f"case when {given} is not null then array[{_one(stub, rule)}] else {others} end", final
    return stub.all, rule


def _proxied(stub: _Stub, place: str) -> str:
    function = stub.function
    body = f"cluster {literal(stub.server)};\nrun on {place};"
    return _create(stub.name(), function.declared, _result(function), "plproxy", body)


def _on_shards(stub: _Stub) -> str:
    """The function on each shard of an array: what the wrapper calls."""
    function = stub.function
    given = ", ".join(f"${n}::{field.type}" for n, field in enumerate(function.fields, start=2))
    call = f"{stub.name()}({given})"
    # What returns nothing returns an empty text here: a row of it is a row.
    void = function.result == "void"
    query = f"select {call}::text as value" if void else f"select * from {call}"
    if not function.columns and not void:
        query += " t (value)"
    body = f"cluster {literal(stub.server)};\nrun on pg_catalog.unnest($1);\n{query};"
    types = ", ".join(["integer[]", *(field.type for field in function.fields)])
    result = f"setof {'text' if void else function.result}"
    return _create(stub.name("_on_"), types, result, "plproxy", body)


def _wrapper(stub: _Stub, body: str) -> str:
    function = stub.function
    return _create(stub.name(), function.declared, _result(function), "plpgsql", body)


def _result(function: Function) -> str:
    return f"setof {function.result}" if function.returns_set else function.result


# PL/Proxy demands that its functions are volatile, so those in front of them are.
def _create(name: str, parameters: str, result: str, language: str, body: str) -> str:
    return (
        f"create function {name}({parameters}) returns {result}\n"
        f"language {language} volatile as $stub$\n{indent(body.strip(), '    ')}\n$stub$;"
    )


def _body(stub: _Stub, rule: Rule) -> str:
    if isinstance(rule, SplitBySubject):
        return _split(stub, rule)
    places, final = _places(stub, rule)
    if unsupported(final):
        assert isinstance(rule, OnSubject)
        body = NEEDS_SUBJECT.format(
            subject=stub.argument("subject"),
            name=stub.function.name,
            rows=stub.on(f"array[{_one(stub, rule)}]"),
        )
    elif isinstance(final, Everywhere):
        body = _defined(stub, places)
    elif isinstance(final, MergedDefinitions):
        body = DEFINITIONS.format(
            shards=places,
            type=stub.function.result,
            page=stub.on("array[v_shard]", after_id="v_after"),
            after=stub.argument("after_id"),
            max_rows=stub.argument("max_rows"),
            subject=stub.argument("subject"),
            id=identifier(final.id),
        )
    elif isinstance(final, Subjects):
        checked = CHECKED_PAGE.format(subject=stub.argument("after_subject"), at=stub.argument("after_at"))
        body = _merged(stub, places, final.merged, checked)
    else:
        body = _merged(stub, places, final)
    return body


def _defined(stub: _Stub, places: str) -> str:
    function = stub.function
    first, others = stub.on("v_shards[:1]"), stub.on("v_shards[2:]")
    if function.returns_set:
        steps = f"return query select * from {first};\n    perform from {others};"
        declared = ""
    elif function.result == "void":
        steps = f"perform from {first};\n    perform from {others};"
        declared = ""
    else:
        kept = "v_result" if function.columns else "v_result.value"
        declared = f"\n    v_result {function.result if function.columns else 'record'};"
        steps = (
            f"select t.* into strict v_result from {first} t{'' if function.columns else ' (value)'};\n"
            f"    perform from {others};\n    return {kept};"
        )
    return DEFINED.format(shards=places, declared=declared, steps=steps)


def _merged(stub: _Stub, places: str, final: Rule, checked: str = "") -> str:
    if isinstance(final, Merged) and (one := aggregated(final.merge, stub.function)):
        return ONE_ROW.format(rows=stub.on(places), named=stub.named, one=one)
    assert isinstance(final, Merged | If)
    # With a limit of 0 nobody would be asked, nor refuse it.
    limit = f"\n    limit nullif(greatest({stub.argument('max_rows')}, 0), 0)" if pages(final) else ""
    return ROWS.format(
        checked=checked,
        listed=distinct(final) + stub.listed,
        rows=stub.on(places),
        named=stub.named,
        order=ordering(final, stub.function),
        limit=limit,
    )


def _split(stub: _Stub, rule: SplitBySubject) -> str:
    batch = stub.argument(rule.argument)
    placed = ", ".join(
        "v_part.places[t.ordinal]" if column.name == "ordinal" else f"t.{identifier(column.name)}"
        for column in stub.columns
    )
    return SPLIT.format(
        batch=batch,
        shard_of=stub.routing("_shard_of", "s.subject"),
        all_in_one=stub.on("array[coalesce(v_only, 0)]"),
        part=stub.on("array[v_part.shard]", **{rule.argument: "v_part.elements"}),
        placed=placed,
        type=stub.function.result,
        noun=rule.noun,
    )
