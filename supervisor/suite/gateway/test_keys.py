"""Keys in front of the real supervisor."""

import subprocess

import pytest

from client import eventually
from keys import KeyFile, bearer
from service import GATEWAY_ID
from tongue import RUN

pytestmark = pytest.mark.neutral


def test_jobs_run_for_who_has_a_key_and_in_its_profiles(start_service, keys):
    plain = keys("new", "plain", "--profiles", "default,small")
    small = keys("new", "small", "--profiles", "small")
    service = start_service(policy='[profile.small]\nextends = "default"\nmemory = "128MiB"\n', gateway_options=["--keys", keys.path])
    script = RUN
    assert service.client.execute(script).code == "unauthorized"
    assert service.client.execute(script, headers=bearer(plain)).result == "served"
    assert service.client.execute(script, headers=bearer(small)).code == "forbidden"
    assert service.client.execute(script, headers=bearer(small), profile="small").result == "served"
    keys("revoke", "small")
    eventually(lambda: service.client.execute(script, headers=bearer(small), profile="small").status == 401)
    assert service.client.execute(script, headers=bearer(plain)).result == "served"


def test_a_key_that_sends_too_fast_takes_no_slot(start_service, keys):
    key = keys("new", "slow", "--rate", "2/h", "--burst", "2")
    service = start_service(gateway_options=["--keys", keys.path])
    answers = [service.client.execute(RUN, headers=bearer(key)) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429, 429]
    assert all(answer.code == "rate_limited" for answer in answers[2:])
    # Half an hour for each request, less what has passed.
    assert 1500 < int(answers[-1].headers["retry-after"]) <= 1800


def test_files_elsewhere_are_out_of_the_gateways_reach(start_service, keys):
    """Its account may read the other file; Landlock has it open nothing but what is in the directory that it was started with."""
    key = keys("new", "known")
    service = start_service(gateway_options=["--keys", keys.path])
    elsewhere = KeyFile(service.directory / "elsewhere")
    other = elsewhere("new", "unknown")
    read = subprocess.run(["cat", elsewhere.path], user=GATEWAY_ID, group=GATEWAY_ID, extra_groups=[], capture_output=True)
    assert b"unknown" in read.stdout, read
    link = keys.path.with_suffix(".link")
    link.symlink_to(elsewhere.path)
    link.rename(keys.path)
    eventually(lambda: "not read again" in service.log("gateway"))
    assert "Permission denied" in service.log("gateway")
    assert service.client.execute(RUN, headers=bearer(key)).result == "served"
    assert service.client.execute(RUN, headers=bearer(other)).status == 401
