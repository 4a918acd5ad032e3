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

SESSION = "/sessions/{id}"
OF_SESSIONS = {("/sessions", "POST"), ("/sessions", "GET"), (SESSION, "GET"), (SESSION, "DELETE"), (f"{SESSION}/execute", "POST"),
               (f"{SESSION}/interrupt", "POST"), (f"{SESSION}/fork", "POST"), (f"{SESSION}/export", "GET"), (f"{SESSION}/files", "GET"), *((SESSION + "/files/{path}", method) for method in ("GET", "PUT", "DELETE"))}

PAGES = {("/", "GET"), ("/healthz", "GET"), ("/readyz", "GET"), ("/openapi.json", "GET")}


@pytest.fixture
def api(service):
    return schemathesis.openapi.from_url(f"{service.client.url}/openapi.json")


def test_every_operation_is_tried_here(api):
    operations = {(path, method.upper()) for path, item in api.raw_schema["paths"].items() for method in item}
    assert operations == PAGES | OF_SESSIONS | {("/execute", "POST"), ("/execute/{id}/returns", "POST"), ("/connect", "GET")}


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


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), sorted(OF_SESSIONS))
def test_what_is_asked_of_sessions_is_answered_as_the_document_says(api, client, path, method, mode):
    """Of none that there is, but for those that are opened here."""
    if (path, method, mode) == ("/sessions", "GET", GenerationMode.NEGATIVE):
        pytest.skip("nothing of it can be wrong")

    @settings(max_examples=25, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(case=api[path][method].as_strategy(generation_mode=mode))
    def holds(case):
        response = case.call()
        try:
            case.validate_response(response, checks=CHECKS)
        finally:
            if response.status_code == 201 and path == "/sessions":
                client.http.delete(f"/sessions/{response.json()['session']}")

    holds()


@pytest.fixture
def session(api):
    """The paths of a session that is open, for cases of operations."""
    opening = api["/sessions"]["POST"]
    opened = opening.Case(body={"idle_s": 60, "files": [{"path": "in/a", "content": "1"}]}, media_type="application/json").call()
    assert opened.status_code == 201, opened.text
    opening.validate_response(opened)
    yield {"id": opened.json()["session"]}
    api[SESSION]["DELETE"].Case(path_parameters={"id": opened.json()["session"]}).call()


@pytest.mark.parametrize(("code", "status"), [
    ("x = 1\nx", 200),
    ("print('a')", 200),
    ("object()", 200),
    ("class A:\n    _repr_html_ = lambda self: '<b>a</b>'\nA()", 200),
    ("display({'a': 1})", 200),
    ("1 / 0", 422),
    ("def f(:", 422),
    ("import os; os._exit(3)", 422),
])
def test_what_becomes_of_a_cell_is_as_the_document_says(api, session, code, status):
    operation = api[f"{SESSION}/execute"]["POST"]
    response = operation.Case(path_parameters=session, body={"code": code}, media_type="application/json").call()
    assert response.status_code == status, response.text
    operation.validate_response(response)


def test_a_cell_that_stops_at_calls_is_as_the_document_says(api, session):
    operation = api[f"{SESSION}/execute"]["POST"]
    body = {"code": "from cloister import tools\ntools.a(1)", "tools": [{"name": "a"}]}
    stopped = operation.Case(path_parameters=session, body=body, media_type="application/json").call()
    assert stopped.status_code == 202, stopped.text
    operation.validate_response(stopped)
    returns = api["/execute/{id}/returns"]["POST"]
    body = {"returns": [{"call": 1, "value": 5}]}
    answer = returns.Case(path_parameters={"id": stopped.json()["id"]}, body=body, media_type="application/json").call()
    assert (answer.status_code, answer.json()["result"]) == (200, 5)
    returns.validate_response(answer)


def test_a_session_is_as_the_document_says(api, session):
    def asked(where, method, status, path=None, **case):
        operation = api[where][method]
        response = operation.Case(path_parameters=session | ({"path": path} if path else {}), **case).call()
        assert response.status_code == status, response.text
        operation.validate_response(response)
        return response

    file = SESSION + "/files/{path}"
    asked(file, "PUT", 204, "in/b", body=b"\0\xff", media_type="application/octet-stream")
    assert asked(file, "GET", 200, "in/b").content == b"\0\xff"
    assert [told["path"] for told in asked(f"{SESSION}/files", "GET", 200).json()["files"]] == ["in/a", "in/b"]
    asked(file, "DELETE", 204, "in/b")
    asked(file, "GET", 404, "in/b")
    assert asked(f"{SESSION}/interrupt", "POST", 200).json() == {"interrupted": False}
    assert asked(SESSION, "GET", 200).json()["state"] == "idle"
    listed = api["/sessions"]["GET"].Case().call()
    api["/sessions"]["GET"].validate_response(listed)
    assert session["id"] in [told["session"] for told in listed.json()["sessions"]]
    asked(f"{SESSION}/execute", "POST", 200, body={"code": "x = 1"}, media_type="application/json")
    assert len(asked(f"{SESSION}/fork", "POST", 201, body={"count": 2}, media_type="application/json").json()["branches"]) == 2
    export = asked(f"{SESSION}/export", "GET", 200).json()
    assert export["cells"] == [{"code": "x = 1"}] and [file["path"] for file in export["files"]] == ["in/a"]
    export["cells"].append({"code": "1 / 0"})
    imported = api["/sessions"]["POST"].Case(body=export, media_type="application/json").call()
    api["/sessions"]["POST"].validate_response(imported)
    assert [failed["cell"] for failed in imported.json()["failed"]] == [2]
    api[SESSION]["DELETE"].Case(path_parameters={"id": imported.json()["session"]}).call()
    asked(SESSION, "DELETE", 204)
    assert asked(SESSION, "GET", 410).json()["error"]["reason"] == "closed"
    asked(f"{SESSION}/execute", "POST", 410, body={"code": "1"}, media_type="application/json")


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
