"""Slots that cannot be used are nobody's failure, and a node that can make no sandbox is not ready."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from client import eventually
from service import HOLD, WARM
from tongue import RUN

pytestmark = pytest.mark.neutral


def slots_of(service):
    """The slots' groups by name, each with its directories."""
    slots = {}
    for group in service.cgroup_directories():
        if group.name.startswith("slot-"):
            slots.setdefault(group.name, []).append(group)
    return slots


def remove(groups):
    """Takes a group away, as somebody with root who tidies up might; not one that is in use."""
    for group in groups:
        if not (group / "cgroup.procs").read_text():
            group.rmdir()


def test_a_slot_whose_group_is_gone_is_given_to_nobody_and_replaced(start_service):
    service = start_service(supervisor={"slots": 4})
    service.settle() if WARM else None
    before = slots_of(service)
    for groups in before.values():
        remove(groups)
    # As many at once as there are slots, twice: each has been looked at.
    for _ in range(2):
        with ThreadPoolExecutor(4) as pool:
            assert [answer.result for answer in pool.map(lambda _: service.client.execute(HOLD, args=[0.5]), range(4))] == ["held"] * 4
    assert "another takes its place" in service.log("supervisor")
    eventually(lambda: len(slots_of(service)) == len(before))
    assert service.client.http.get("/readyz").status_code == 200


def test_a_node_that_can_make_no_sandbox_is_not_ready_and_tells_no_path(start_service):
    service = start_service(supervisor={"slots": 2})
    # All that a launcher could be put into, and what lives there.
    all_groups = lambda: sorted(service.cgroup_directories(), key=lambda group: -len(group.parts))

    def take_away():
        for group in all_groups():
            for pid in (group / "cgroup.procs").read_text().split():
                kill(int(pid))
            try:
                group.rmdir()
            except OSError:
                pass
        return not all_groups()

    eventually(take_away)
    told = []

    def not_ready():
        told.append(service.client.execute(RUN))
        return service.client.http.get("/readyz").status_code == 503

    eventually(not_ready, within=60)
    reason = supervisor_says(service)
    assert "sandbox" in reason or "slot" in reason, reason
    for text in [reason, *(str(answer.body) for answer in told if answer.status != 200)]:
        assert "/sys" not in text and "/proc" not in text and service.cgroup not in text, text
    assert service.cgroup in service.log("supervisor"), "the log says what is wrong with what"


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def supervisor_says(service):
    """What the supervisor itself says of its readiness."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(service.socket))) as client:
        answer = client.get("http://supervisor/readyz")
    assert answer.status_code == 503, answer.text
    return answer.json()["error"]["message"]
