"""/openapi.json is valid, complete and true: schemathesis gets no answer that it does not describe."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.helpers import at_length
from tests.web.conftest import Api

EXAMPLES = at_length(1, 40)
# They wait, or end what others need, and have tests of their own.
LEFT_OUT = {"/v1/rpc/maintain", "/v1/rpc/rebuild"}


def test_it_is_valid_and_has_every_function_with_its_documentation(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()
    functions = api.ledger.rows(
        "SELECT p.proname, obj_description(p.oid) AS comment, p.provolatile <> 'v' AS reads,"
        " p.proargnames[1:p.pronargs] AS names"
        " FROM meter._level_functions() l JOIN pg_proc p ON p.proname = l.function"
        " WHERE p.pronamespace = 'meter'::regnamespace AND l.level NOT IN ('owner', 'login')"
    )
    paths = document["paths"]
    for row in functions:
        path = paths.pop(f"/v1/rpc/{row.proname}")
        assert ("get" in path) == row.reads
        assert path["post"]["description"] in row.comment
        body = path["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert list(body["properties"]) == (row.names or [])
    assert sorted(paths) == ["/health", "/health/live", "/health/ready", "/metrics", "/v1/events"]


def test_every_answer_is_one_that_it_describes(api: Api) -> None:
    document: dict[str, Any] = api.client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    keys = {level: api.bearer(level) for level in ("read", "write", "report", "admin", "approve")}
    keys["own"] = api.bearer("read", "acct_1")
    level_of = dict(api.ledger.rows("SELECT function, level FROM meter._level_functions()"))
    statuses: set[int] = set()
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path in LEFT_OUT:
            continue
        name = operation.path.rpartition("/")[2]
        headers = keys[level_of.get(name, "write")]

        def check(headers: dict[str, str], case: schemathesis.Case) -> None:
            nonlocal tried
            answer = case.call(base_url=api.base, headers=headers, timeout=30)
            case.validate_response(
                answer,
                checks=[
                    not_a_server_error,
                    status_code_conformance,
                    content_type_conformance,
                    response_schema_conformance,
                ],
            )
            statuses.add(answer.status_code)
            tried += 1

        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            with suppress(Unsatisfiable):  # without parameters there is nothing to spoil
                _fuzz(operation.as_strategy(generation_mode=mode), partial(check, headers))
    assert {200, 400} <= statuses
    assert 500 not in statuses
    assert tried > 200


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
