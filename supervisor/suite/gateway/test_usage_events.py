"""Usage events: a line for each job, whatever becomes of it, of the file that it goes to, or of the gateway."""

import hashlib
import json
import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client import eventually, script_of
from service import GATEWAY_ID
from tenants import Tenants, bearer, call, start_gateway, stop_gateway
from tongue import HOLD, RUN

FIELDS = {"time", "key", "id", "profile", "script_sha256", "bytes_in", "outcome", "ran", "cpu_seconds", "memory_peak_bytes", "bytes_out"}


@pytest.fixture(scope="module")
def tenants(tmp_path_factory):
    """With the file of events on a small disk."""
    disk = Path("/tmp") / f"{tmp_path_factory.mktemp('usage').name}-{os.getpid()}"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=64k,mode=700,uid={GATEWAY_ID},gid={GATEWAY_ID}", "usage", disk], check=True)
    tenants = Tenants(under=disk)
    yield tenants
    tenants.remove()
    subprocess.run(["umount", disk], check=True)
    disk.rmdir()


@pytest.fixture(scope="module")
def told(tenants, start_for_module):
    """A service, and a key of it."""
    key = tenants("new", "reports.2026_a-b")
    return start_for_module(gateway_options=tenants.options), key


def test_each_job_is_told_of_in_one_line(told, tenants):
    service, key = told
    secret = "def main(n):\n    # not for any file\n    print('x' * 100)\n    return n / (n - 1)"
    body = json.dumps({"script": secret, "args": [2]})
    good = service.client.post(body, headers=bearer(key))
    event = tenants.event(good.body["id"])
    assert set(event) == FIELDS
    assert event["script_sha256"] == hashlib.sha256(secret.encode()).hexdigest()
    assert (event["key"], event["profile"], event["outcome"], event["ran"]) == ("reports.2026_a-b", "default", "returned", True)
    usage = good.body["usage"]
    assert event["cpu_seconds"] == pytest.approx(usage["cpu_ms"] / 1000, abs=1e-5)
    assert event["memory_peak_bytes"] == usage["memory_peak_bytes"]
    assert (event["bytes_in"], event["bytes_out"]) == (len(body), int(good.headers["content-length"]))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
    failed = service.client.execute(secret, args=[1], headers=bearer(key))
    event = tenants.event(failed.body["id"])
    assert (failed.status, event["outcome"], event["ran"]) == (422, "exception", True)
    with service.client.http.stream("POST", "/execute", json={"script": RUN}, headers={**bearer(key), "Accept": "text/event-stream"}) as answer:
        size = len(answer.read())
    event = tenants.event(answer.headers["x-cloister-id"])
    assert (event["outcome"], event["ran"], event["bytes_out"]) == ("returned", True, size) and event["cpu_seconds"] > 0
    of_tool = call(service, key, code="6 * 7")["_meta"]["cloister/id"]
    assert tenants.event(of_tool)["script_sha256"] == hashlib.sha256(b"6 * 7").hexdigest()
    # Neither a script nor a key, anywhere.
    everything = "".join(file.read_text(errors="replace") for place in (tenants.state, tenants.usage.parent)
                         for file in place.iterdir() if file.suffix != ".new")  # which takes another's name any moment
    assert "not for any file" not in everything and key[26:] not in everything


@pytest.mark.parametrize("odd", ['"} \n{"key": "other"', "\u2028\r\n\x1b[31m", "{}" * 100])
def test_odd_names_stay_in_their_line(told, tenants, odd):
    service, key = told
    refused = service.client.execute(RUN, headers=bearer(key), profile=odd)
    event = tenants.event(refused.body["id"])
    assert (event["profile"], event["outcome"], event["ran"], event["cpu_seconds"]) == (odd, "invalid_request", False, None)


def test_what_the_supervisor_refuses_is_told_of_by_its_name(start_service):
    tenants = Tenants()
    key = tenants("new", "crowd")
    service = start_service(gateway_options=tenants.options, supervisor={"slots": 1, "queue": 0})
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(service.client.execute, HOLD, args=[3], headers=bearer(key))
        eventually(service.holding)
        refused = service.client.execute(RUN, headers=bearer(key))
        assert first.result().status == 200
    event = tenants.event(refused.body["id"])
    assert (refused.status, event["outcome"], event["ran"]) == (429, "overloaded", False)
    stop_gateway(service)
    tenants.remove()


def test_a_file_that_is_moved_away_is_made_anew_and_nothing_is_lost(told, tenants):
    service, key = told
    before = tenants.usage.with_suffix(".1")
    sent = [service.client.execute(RUN, headers=bearer(key)).body["id"] for _ in range(3)]
    tenants.usage.rename(before)

    def another():
        sent.append(service.client.execute(RUN, headers=bearer(key)).body["id"])
        return tenants.usage.exists()

    eventually(another)
    assert tenants.usage.stat().st_mode & 0o777 == 0o600 and tenants.usage.stat().st_uid == GATEWAY_ID
    eventually(lambda: set(sent) <= {event["id"] for event in tenants.events(before, tenants.usage)})
    ids = [event["id"] for event in tenants.events(before, tenants.usage)]
    assert len(ids) == len(set(ids))
    before.unlink()


def test_while_events_cannot_be_written_no_job_is_begun_and_none_is_forgotten(told, tenants):
    service, key = told
    filler = tenants.usage.with_name("filler")
    run = lambda: service.client.execute(RUN, headers=bearer(key))
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 512)
    ran = []

    def refused():
        answer = run()
        ran.extend([answer.body["id"]] if answer.status == 200 else [])
        return answer if answer.status != 200 else None

    answer = eventually(refused)
    assert (answer.status, answer.code, answer.error["ran"]) == (503, "unavailable", False)
    assert "usage events" in answer.error["message"] and "cannot be written" in service.log("gateway")
    assert service.client.http.get("/healthz").status_code == 200
    # Nor when it is asked to end meanwhile: the next start tells.
    assert stop_gateway(service) == 1
    assert "the next start writes them" in service.log("gateway")
    filler.unlink()
    start_gateway(service)
    assert run().status == 200
    assert ran and all(tenants.event(each) for each in ran)


def test_a_gateway_that_is_killed_forgets_no_job(told, tenants):
    service, key = told
    tenants.usage.unlink()
    start = json.dumps({"script": HOLD, "args": [60]}).encode()
    client = subprocess.Popen(
        ["curl", "-s", "-o", "/dev/null", "-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json",
         "--data-binary", "@-", f"http://{service.address}/execute"], stdin=subprocess.PIPE)
    client.stdin.write(start)
    client.stdin.close()
    eventually(service.holding)
    assert stop_gateway(service, signal.SIGKILL) == -signal.SIGKILL
    client.wait(60)
    # Half a line, as a machine that fails leaves it.
    with tenants.usage.open("a") as file:
        file.write('{"time": "20')
    os.chown(tenants.usage, GATEWAY_ID, GATEWAY_ID)
    start_gateway(service)
    assert service.client.execute(RUN, headers=bearer(key)).status == 200
    half, *lines = tenants.usage.read_text().splitlines()
    assert half == '{"time": "20'
    [lost, *_] = map(json.loads, lines)
    assert (lost["outcome"], lost["ran"], lost["recovered"], lost["cpu_seconds"]) == ("lost", None, True, None)
    assert lost["script_sha256"] == hashlib.sha256(script_of(HOLD).encode()).hexdigest()
    assert stop_gateway(service) == 0
    start_gateway(service)
    assert tenants.usage.read_text().count('"recovered"') == 1
