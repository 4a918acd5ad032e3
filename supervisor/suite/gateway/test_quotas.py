"""Quotas of keys by day, in front of the real supervisor."""

import json
import os
import signal
import socket
from copy import copy

import pytest

from client import eventually
from service import GATEWAY_ID
from tenants import DAY, Tenants, bearer, call, flood, midnight_in, refused_start, start_gateway, stop_gateway, today
from tongue import HOLD, RUN

BURN = "import time\ndef main(seconds):\n    while time.process_time() < seconds: pass"


@pytest.fixture(scope="module")
def tenants():
    tenants = Tenants()
    yield tenants
    tenants.remove()


@pytest.fixture(scope="module")
def guarded(tenants, start_for_module):
    tenants("new", "first")
    return start_for_module(gateway_options=tenants.options)


def test_a_key_runs_its_jobs_of_a_day_and_no_more(guarded, tenants):
    key, other = tenants.key(guarded, "three", "--jobs", "3"), tenants.key(guarded, "other")
    assert guarded.client.execute(RUN, headers=bearer(key)).result == "served"
    # Failures of scripts are jobs, and calls of assistants are; what the supervisor refuses is none.
    assert guarded.client.execute("def main(): return 1 / 0", headers=bearer(key)).status == 422
    assert guarded.client.execute(RUN, headers=bearer(key), profile="none").status == 400
    assert call(guarded, key, code="1 + 1")["isError"] is False
    refused = guarded.client.execute(RUN, headers=bearer(key))
    assert (refused.status, refused.code, refused.error["ran"]) == (429, "quota_exceeded", False)
    assert refused.error["quota"] == {"of": "jobs", "limit": 3, "used": 3, "resets_at": f"{today() + DAY}T00:00:00Z"}
    assert "3 of 3" in refused.error["message"] and f"{today() + DAY}T00:00:00Z" in refused.error["message"]
    assert abs(int(refused.headers["retry-after"]) - midnight_in()) < 60
    told = call(guarded, key, code="1 + 1")
    assert told["isError"] and told["_meta"]["cloister/code"] == "quota_exceeded" and "3 of 3" in told["content"][0]["text"]
    assert flood(guarded, key, 10_000) == {429}
    assert guarded.client.execute(RUN, headers=bearer(other)).result == "served"
    # Nothing of it has come to the supervisor, or into what was used.
    eventually(lambda: (tenants.used("three")["jobs"], tenants.used("other")["jobs"]) == (3, 1))
    assert eventually(lambda: [event["ran"] for event in tenants.events() if event["key"] == "three"].count(True) == 3)
    shown = tenants.metrics()
    counted = lambda key, outcome: shown.get(f'cloister_requests_total{{key="{key}",outcome="{outcome}"}}')
    assert (counted("three", "quota_exceeded"), counted("other", "returned")) == ("10002", "1")
    assert counted("", "returned") == "0" and shown["cloister_supervisor_up"] == "1"
    tenants("set", "three", "--jobs", "none")
    eventually(lambda: guarded.client.execute(RUN, headers=bearer(key)).status == 200)


def test_processor_time_is_counted_as_the_kernel_does_and_of_who_leaves_as_the_most_that_it_can_be(guarded, tenants):
    key, leaver = tenants.key(guarded, "burner", "--cpu", "300ms"), tenants.key(guarded, "leaver", "--cpu", "1ms")
    first = guarded.client.execute(BURN, args=[0.4], headers=bearer(key))
    refused = guarded.client.execute(RUN, headers=bearer(key))
    assert (first.status, refused.code) == (200, "quota_exceeded")
    quota = refused.error["quota"]
    assert (quota["of"], quota["limit"]) == ("cpu_seconds", 0.3)
    assert quota["used"] == pytest.approx(first.body["usage"]["cpu_ms"] / 1000, abs=1e-5)
    host, port = guarded.address.split(":")
    body = json.dumps({"script": HOLD, "args": [60]})
    head = f"POST /execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {leaver}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port))) as client:
        client.sendall((head + body).encode())
        eventually(guarded.holding)
    eventually(lambda: guarded.client.execute(RUN, headers=bearer(leaver)).code == "quota_exceeded")
    # It is charged first, and told of then.
    [left] = eventually(lambda: [event for event in tenants.events() if event["key"] == "leaver" and event["outcome"] == "abandoned"])
    assert left["estimated"] and left["cpu_seconds"] > 0 and left["ran"] is None


def test_what_was_used_outlasts_gateways_that_end_and_that_are_killed(guarded, tenants):
    key = tenants.key(guarded, "lasting", "--jobs", "2")
    for how in (signal.SIGTERM, signal.SIGKILL):
        assert guarded.client.execute(RUN, headers=bearer(key)).result == "served"
        if how == signal.SIGKILL:
            # What is told to operators is what is kept.
            eventually(lambda: tenants.used("lasting")["jobs"] == 2)
        assert stop_gateway(guarded, how) == (0 if how == signal.SIGTERM else -how)
        start_gateway(guarded)
    assert guarded.client.execute(RUN, headers=bearer(key)).code == "quota_exceeded"


def test_a_clock_that_goes_back_over_midnight_gives_no_second_day(guarded, tenants):
    key = tenants.key(guarded, "early", "--jobs", "5")
    for day, expected in ((today() + DAY, "quota_exceeded"), (today() - DAY, None)):
        assert stop_gateway(guarded) == 0
        tenants.write_used(key, day, jobs=5, cpu_us=0)
        start_gateway(guarded)
        answer = guarded.client.execute(RUN, headers=bearer(key))
        if expected:
            assert answer.code == expected and answer.error["quota"]["resets_at"] == f"{today() + 2 * DAY}T00:00:00Z"
            assert "the clock has gone back" in guarded.log("gateway")
        else:
            assert answer.result == "served"


def test_operators_are_told_what_was_used(guarded, tenants):
    key = tenants.key(guarded, "told", "--jobs", "10", "--cpu", "1h")
    assert guarded.client.execute(RUN, headers=bearer(key)).result == "served"
    eventually(lambda: tenants.used("told")["jobs"] == 1)
    told = tenants.used("told")
    assert 0 < told.pop("cpu_seconds") < 10
    assert told == {"name": "told", "jobs": 1, "jobs_per_day": 10, "cpu_seconds_per_day": 3600}
    day, head, row = tenants("usage", "--state", tenants.state, "told").splitlines()
    assert day.startswith(f"{today()} (UTC)") and head.split() == ["NAME", "JOBS", "CPU"]
    assert row.startswith("told  1/10 (10%)  0.") and row.endswith("s/1h (0%)")
    for arguments, expected in [
        (["usage", "--state", "/nowhere"], "/nowhere/used.json: No such file"),
        (["usage", "--state", tenants.state, "nobody"], 'there is no key "nobody"'),
        (["usage", "--stat", tenants.state], "--state"),
        (["set", "told"], "required"),
        (["set", "told", "--jobs", "0"], "or none"),
        (["set", "told", "--cpu", "much"], "such as 90s"),
        (["set", "nobody", "--jobs", "1"], 'there is no key "nobody"'),
        (["set", "told", "--burst", "3"], "a burst needs a rate"),
    ]:
        done = tenants.command(*arguments)
        assert done.returncode != 0 and expected in done.stderr and done.stdout == "", (arguments, done)


def test_a_state_directory_is_one_gateways_alone_and_nobody_elses(guarded, tenants):
    taken = refused_start("--state", tenants.state)
    assert f"in use by another gateway (pid {guarded.gateway.pid}, listening on {guarded.address})" in taken
    own = tenants.directory / "own"
    own.mkdir(mode=0o755)
    assert "belongs to uid 0" in refused_start("--state", own)
    os.chown(own, GATEWAY_ID, GATEWAY_ID)
    link = tenants.directory / "link"
    link.symlink_to(own)
    assert "no symbolic link" in refused_start("--state", link)
    own.chmod(0o777)
    assert "may be written by others" in refused_start("--state", own)
    own.chmod(0o700)
    for damage in (b"", b"{", b'{"version": 1}', b"\0" * 4096, b'{"version":1,"day":"x","saved":"2026-01-01T00:00:00Z","keys":{}}'):
        (own / "used.json").write_bytes(damage)
        os.chown(own / "used.json", GATEWAY_ID, GATEWAY_ID)
        message = refused_start("--state", own)
        assert "is damaged" in message and f"mv {own}/used.json" in message, message
        assert (own / "used.json").read_bytes() == damage
    (own / "used.json").unlink()
    # What lies elsewhere is not written, whatever is put in a file's place.
    (tenants.directory / "elsewhere").write_text("untouched")
    os.chown(tenants.directory / "elsewhere", GATEWAY_ID, GATEWAY_ID)
    (own / "used.json.new").symlink_to(tenants.directory / "elsewhere")
    assert "keep in" in refused_start("--state", own)
    assert (tenants.directory / "elsewhere").read_text() == "untouched"
    assert "nowhere" in refused_start("--state", tenants.directory / "nowhere")
    message = refused_start("--keys", tenants.keys)
    assert "has a quota" in message and "--state" in message and "set " in message


def test_metrics_that_others_reach_are_asked_for_in_words():
    message = refused_start("--metrics", "0.0.0.0:0")
    assert "can be reached from outside" in message and "--metrics-public" in message


def test_a_key_with_a_quota_is_not_let_in_where_nothing_is_kept(guarded, tenants):
    plain = copy(tenants)
    plain.keys = tenants.keys.with_name("plain.toml")
    assert stop_gateway(guarded) == 0
    guarded.gateway_options = ["--keys", plain.keys]
    start_gateway(guarded)
    free, bound = plain.key(guarded, "free"), plain.key(guarded, "bound", "--jobs", "5")
    assert guarded.client.execute(RUN, headers=bearer(free)).result == "served"
    refused = guarded.client.execute(RUN, headers=bearer(bound))
    assert (refused.status, refused.code) == (503, "unavailable")
    assert "quota" in refused.error["message"]
