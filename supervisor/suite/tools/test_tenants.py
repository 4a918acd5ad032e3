"""Calls and keys: who may return to what, and what is counted."""

import pytest
from websockets.exceptions import InvalidStatus

from client import eventually
from keys import bearer
from talk import conversation
from test_returns import SUM, returns, value, waits

ONE = "def main(): return 1"


def test_nobody_returns_to_the_job_of_another(start_service, keys):
    ada, bob = keys("new", "ada"), keys("new", "bob")
    service = start_service(gateway_options=["--keys", keys.path])
    body = {"script": SUM, "tools": [{"name": "a"}, {"name": "b"}]}
    id = waits(service.client.http.post("/execute", json=body, headers=bearer(ada)))["id"]
    assert returns(service.client, id, value(1, 1)).status_code == 401
    other = returns(service.client, id, value(1, 1), headers=bearer(bob))
    assert other.status_code == 404 and other.json()["error"]["message"] == returns(service.client, "0" * 32, headers=bearer(bob)).json()["error"]["message"]
    assert waits(returns(service.client, id, value(1, 1), headers=bearer(ada)))["calls"][0]["call"] == 2
    # The same number in another job is another call.
    second = waits(service.client.http.post("/execute", json=body, headers=bearer(bob)))["id"]
    assert waits(returns(service.client, second, value(1, 5), headers=bearer(bob)))["calls"][0]["call"] == 2
    assert returns(service.client, id, value(2, 2), headers=bearer(ada)).json()["result"] == 3
    assert returns(service.client, second, value(2, 2), headers=bearer(bob)).json()["result"] == 7


def test_a_conversation_takes_a_key_and_each_job_in_it_counts(start_service, keys):
    key = keys("new", "slow", "--rate", "3/h", "--burst", "3", "--profiles", "default")
    service = start_service(gateway_options=["--keys", keys.path], policy='[profile.other]\nextends = "default"\n')
    with pytest.raises(InvalidStatus) as refused, conversation(service):
        pass
    assert refused.value.response.status_code == 401
    calls = "from cloister import tools\ndef main(): return sum(tools.a() for _ in range(50))"
    with conversation(service, additional_headers=bearer(key)) as talk:
        assert talk.result(calls, {"a": lambda: 1}) == 50
        talk.execute(ONE, profile="other")
        assert talk.until("error")["error"]["code"] == "forbidden"
        assert talk.result(ONE, {}) == 1
        talk.execute(ONE)
        assert talk.until("error")["error"]["code"] == "rate_limited"
        keys("revoke", "slow")
        def told():
            talk.execute(ONE)
            return talk.until("error")["error"]["code"]

        eventually(lambda: told() == "unauthorized")


def test_a_job_that_waits_for_its_caller_is_one_of_those_at_once(start_service, keys):
    key = keys("new", "one", "--concurrency", "1")
    service = start_service(gateway_options=["--keys", keys.path])
    body = {"script": SUM, "tools": [{"name": "a"}, {"name": "b"}]}
    id = waits(service.client.http.post("/execute", json=body, headers=bearer(key)))["id"]
    assert service.client.execute(ONE, headers=bearer(key)).code == "rate_limited"
    waits(returns(service.client, id, value(1, 1), headers=bearer(key)))
    assert service.client.execute(ONE, headers=bearer(key)).code == "rate_limited"
    assert returns(service.client, id, value(2, 1), headers=bearer(key)).json()["result"] == 2
    eventually(lambda: service.client.execute(ONE, headers=bearer(key)).status == 200)


def test_returns_to_no_job_count_against_the_rate_and_others_do_not(start_service, keys):
    key = keys("new", "few", "--rate", "4/h", "--burst", "4")
    service = start_service(gateway_options=["--keys", keys.path])
    script = "from cloister import tools\ndef main(): return sum(tools.a() for _ in range(10))"
    answer = service.client.http.post("/execute", json={"script": script, "tools": [{"name": "a"}]}, headers=bearer(key))
    for number in range(10):
        answer = returns(service.client, waits(answer)["id"], value(number + 1, 1), headers=bearer(key))
    assert answer.json()["result"] == 10
    codes = [returns(service.client, "0" * 32, headers=bearer(key)).json()["error"]["code"] for _ in range(5)]
    assert codes == ["not_found"] * 3 + ["rate_limited"] * 2
