"""/openapi.json is valid, complete and true: schemathesis gets no answer that it does not describe."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.helpers import at_length
from tests.web.conftest import Api
from tests.web.likely import deepened, likely_value, populate

# Two that need a push: without it one answers false, and the other does nothing. Two end what others need.
NOT_OF_NULL = {"confirm_push", "fail_pushes", "revoke_api_key", "erase_subject"}
EXAMPLES = at_length(2, 40)
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
# Values that the document does not allow, for every so many operations.
SPOILED = at_length(3, 1)
# They wait, or end what others need, and have tests of their own.
LEFT_OUT = {"/v1/rpc/maintain", "/v1/rpc/rebuild", "/v1/rpc/revoke_api_key"}


def test_it_is_valid_and_has_every_function_with_its_documentation(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()
    functions = api.ledger.rows(
        "SELECT p.proname, l.level, obj_description(p.oid) AS comment, p.provolatile <> 'v' AS reads,"
        " p.proargnames[1:p.pronargs] AS names"
        " FROM meter._level_functions() l JOIN pg_proc p ON p.proname = l.function"
        " WHERE p.pronamespace = 'meter'::regnamespace AND l.level NOT IN ('owner', 'login')"
    )
    paths = document["paths"]
    for row in functions:
        path = paths.pop(f"/v1/rpc/{row.proname}")
        assert ("get" in path) == row.reads
        assert path["post"]["description"] in row.comment
        assert path["post"]["tags"] == [row.level]
        body = path["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert list(body["properties"]) == (row.names or [])
    assert sorted(paths) == ["/health", "/health/live", "/health/ready", "/metrics", "/v1/events"]


def test_rows_and_what_is_sent_have_names_for_generated_programs(api: Api) -> None:
    """Without them a generator makes a type for each place, and names it after the place."""
    document = api.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {"UsageTotal", "Recorded", "LoggedEvents", "Event", "CloudEvent", "Number", "Problem"} <= set(
        schemas
    )
    assert len({name.lower() for name in schemas}) == len(schemas)
    answers = [
        answer["content"]["application/json"]["schema"]
        for path, one in document["paths"].items()
        for operation in one.values()
        for status, answer in operation["responses"].items()
        if status == "200" and path.startswith("/v1/rpc/")
    ]
    assert answers
    for schema in answers:
        row = schema.get("items", schema)
        assert "$ref" in row or row.get("type") != "object", row


def test_a_required_argument_may_be_null_where_that_has_a_meaning(api: Api) -> None:
    """Generated programs cannot send what the document does not allow: a limit could not be lifted."""
    populate(api.ledger)
    level_of = dict(api.ledger.rows("SELECT function, level FROM meter._level_functions()"))
    document = api.client.get("/openapi.json").json()
    allowed, taken = set(), set()
    for path, one in document["paths"].items():
        name = path.removeprefix("/v1/rpc/")
        if name == path or level_of[name] == "own" or name in NOT_OF_NULL:
            continue
        schema = one["post"]["requestBody"]["content"]["application/json"]["schema"]
        for argument in schema["required"]:
            given = schema["properties"][argument]
            if "null" in given.get("type", ()) or {"type": "null"} in given.get("anyOf", ()):
                allowed.add((name, argument))
            body = {n: likely_value(n, s) for n, s in schema["properties"].items() if n in schema["required"]}
            answer = api.post(path, body | {argument: None}, level_of[name])
            if answer.status_code < 300:
                taken.add((name, argument))
    assert ("set_limit", "quota") in taken
    assert allowed == taken


@pytest.mark.at_length
def test_every_answer_is_one_that_it_describes(api: Api) -> None:
    populate(api.ledger)
    document: dict[str, Any] = deepened(api.client.get("/openapi.json").json())
    schema = schemathesis.openapi.from_dict(document)
    keys = {level: api.bearer(level) for level in ("read", "write", "report", "admin", "approve")}
    keys["own"] = api.bearer("read", "acct_1")
    level_of = dict(api.ledger.rows("SELECT function, level FROM meter._level_functions()"))
    statuses: Counter[int] = Counter()
    reached = set()
    operations = [result.ok() for result in schema.get_all_operations()]
    for place, operation in enumerate(one for one in operations if one.path not in LEFT_OUT):
        name = operation.path.rpartition("/")[2]
        headers = keys[level_of.get(name, "write")]

        def check(headers: dict[str, str], case: schemathesis.Case) -> None:
            answer = case.call(base_url=api.base, headers=headers, timeout=30)
            case.validate_response(
                answer,
                checks=[
                    not_a_server_error,
                    status_code_conformance,
                    content_type_conformance,
                    response_schema_conformance,
                    response_headers_conformance,
                ],
            )
            statuses[answer.status_code] += 1
            if answer.status_code < 300:
                reached.add(case.operation.path)

        for mode in MODES if place % SPOILED == 0 else MODES[:1]:
            with suppress(Unsatisfiable):  # without parameters there is nothing to spoil
                _fuzz(operation.as_strategy(generation_mode=mode), partial(check, headers))
    assert statuses[500] == 0
    assert statuses[400] > 0
    assert statuses.total() > 300
    assert len(reached) > at_length(40, 80), statuses


def _fuzz(strategy: Any, check: Any) -> None:
    def checked(case: Any) -> None:
        check(case)

    settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(given(case=strategy)(checked))()
