"""What the gateway says of itself in /openapi.json, held against its real answers by schemathesis."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance, negative_data_rejection, response_headers_conformance, response_schema_conformance,
    status_code_conformance, unsupported_method,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
          response_schema_conformance, negative_data_rejection, unsupported_method]

PAGES = {("/", "GET"), ("/healthz", "GET"), ("/readyz", "GET"), ("/openapi.json", "GET")}


@pytest.fixture
def api(service):
    return schemathesis.openapi.from_url(f"{service.client.url}/openapi.json")


def test_every_operation_is_tried_here(api):
    operations = {(path, method.upper()) for path, item in api.raw_schema["paths"].items() for method in item}
    assert operations == PAGES | {("/execute", "POST"), ("/execute/{id}/returns", "POST"), ("/connect", "GET")}


@pytest.mark.parametrize(("path", "method"), sorted(PAGES))
def test_pages_are_as_the_document_says(api, path, method):
    api[path][method].Case().call_and_validate(checks=CHECKS)


@pytest.mark.parametrize("mode", GenerationMode)
def test_answers_are_as_the_document_says(api, mode):
    # The same examples each time: what is to be found is found here, not in somebody's next change.
    @settings(max_examples=60, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(case=api["/execute"]["POST"].as_strategy(generation_mode=mode))
    def holds(case):
        case.call_and_validate(checks=CHECKS)

    holds()


@pytest.mark.parametrize("mode", GenerationMode)
def test_returns_to_no_job_are_answered_as_the_document_says(api, mode):
    @settings(max_examples=40, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(case=api["/execute/{id}/returns"]["POST"].as_strategy(generation_mode=mode))
    def holds(case):
        case.call_and_validate(checks=CHECKS)

    holds()


def test_an_answer_that_stops_at_calls_is_as_the_document_says(api):
    run, returns = api["/execute"]["POST"], api["/execute/{id}/returns"]["POST"]
    script = "from cloister import tools\ndef main():\n    return tools.a(1, q='x') + tools.a()"
    stopped = run.Case(body={"script": script, "tools": [{"name": "a", "description": "d", "parameters": {"type": "object"}}]}, media_type="application/json").call()
    assert stopped.status_code == 202
    run.validate_response(stopped)
    path, media_type = {"id": stopped.json()["id"]}, "application/json"
    for came, status in (({"call": 1, "value": 1}, 202), ({"call": 7, "value": 1}, 202), ({"call": 2, "error": {"message": "no"}}, 422)):
        answer = returns.Case(path_parameters=path, body={"returns": [came]}, media_type=media_type).call()
        assert answer.status_code == status, answer.json()
        returns.validate_response(answer)


def test_a_request_for_no_conversation_is_answered_as_the_document_says(api):
    response = api["/connect"]["GET"].Case().call()
    assert response.status_code == 400
    api["/connect"]["GET"].validate_response(response)


@pytest.mark.parametrize(("script", "status"), [
    ("def main(): return [1, None, {'a': 'b'}]", 200),
    ("def main(:", 422),
    ("x = 1", 422),
    ("def main(): raise ValueError('no')", 422),
    ("def main(): exit(3)", 422),
    ("def main(): return {1, 2}", 422),
    ("import os\ndef main(): os.abort()", 422),
])
def test_what_becomes_of_a_job_is_as_the_document_says(api, script, status):
    operation = api["/execute"]["POST"]
    response = operation.Case(body={"script": script}, media_type="application/json").call()
    assert response.status_code == status, response.json()
    operation.validate_response(response)


def test_the_documents_own_examples_run(api):
    for script in api.raw_schema["components"]["schemas"]["ExecuteRequest"]["properties"]["script"]["examples"]:
        response = api["/execute"]["POST"].Case(body={"script": script}, media_type="application/json").call()
        assert response.status_code == 200, response.json()


def test_the_interpreter_of_the_default_profile_is_named(api, execute):
    version = execute("import sys\ndef main(): return '.'.join(map(str, sys.version_info[:3]))").result
    assert f"Scripts run under Python {version}" in api.raw_schema["info"]["description"]


def test_nothing_is_left_to_generators_to_name(api):
    """Each choice is between schemas that have names, so that no class is called Type0."""
    def choices(value):
        if isinstance(value, dict):
            yield from (choice for key in ("oneOf", "anyOf") for choice in value.get(key, []))
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                yield from choices(item)

    assert all(set(choice) == {"$ref"} or choice == {"type": "null"} for choice in choices(api.raw_schema)), list(choices(api.raw_schema))
