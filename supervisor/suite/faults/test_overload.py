"""More requests than slots: they queue, and past the queue they are told at once."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import eventually
from service import HOLD
from tongue import served


@pytest.mark.neutral
def test_more_requests_than_slots_queue_and_all_are_answered(start_service):
    service = start_service(supervisor={"slots": 2, "queue": 20, "queue_wait": '"30s"'})
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: service.client.execute(HOLD, args=[0.1]), range(12)))
    assert [answer.result for answer in answers] == ["held"] * 12
    assert len(service.slot_groups("cgroup.procs")) > 0


@pytest.mark.neutral
def test_a_full_queue_is_told_at_once(start_service):
    service = start_service(supervisor={"slots": 1, "queue": 1, "queue_wait": '"30s"'})
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(service.client.execute, HOLD, args=[3]) for _ in range(4)]
        refused = eventually(lambda: [future.result() for future in running if future.done()])
        assert refused[0].status == 429 and refused[0].code == "overloaded"
        assert int(refused[0].headers["retry-after"]) >= 1
        # It is said while the one slot is still busy, not when it comes free.
        assert not [future for future in running if future.done() and future.result().status == 200]
        statuses = sorted(future.result().status for future in running)
    assert statuses == [200, 200, 429, 429]


@pytest.mark.neutral
def test_a_wait_that_takes_too_long_is_told(start_service):
    service = start_service(supervisor={"slots": 1, "queue": 5, "queue_wait": '"100ms"'})
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.client.execute, HOLD, args=[3])
        eventually(lambda: service.holding())
        second = service.client.execute(HOLD, args=[0])
        assert second.code == "overloaded" and "in time" in second.error["message"]
        assert first.result().result == "held"


@pytest.mark.neutral
def test_a_client_that_hangs_up_has_its_job_ended_and_its_slot_freed(start_service):
    service = start_service(supervisor={"slots": 1, "queue": 0})
    host, port = service.address.split(":")
    body = json.dumps({"script": HOLD, "args": [9]}).encode()
    head = f"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(head.encode() + body)
        eventually(lambda: service.holding())
    eventually(lambda: not service.job_processes())
    eventually(lambda: service.client.execute(HOLD, args=[0]).status == 200)


@pytest.mark.neutral
def test_a_place_in_the_queue_is_given_up_by_who_hangs_up(start_service):
    service = start_service(supervisor={"slots": 1, "queue": 1, "queue_wait": '"30s"'})
    host, port = service.address.split(":")
    body = json.dumps({"script": served("never")}).encode()
    head = f"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with ThreadPoolExecutor(2) as pool:
        # Should the one that only looks overtake the one that is to wait, once more.
        for _ in range(5):
            first = pool.submit(service.client.execute, HOLD, args=[4])
            eventually(lambda: service.holding())
            with socket.create_connection((host, int(port))) as waiting:
                waiting.sendall(head.encode() + body)
                # The queue is full if another is refused.
                refused = service.client.execute(HOLD, args=[0]).status == 429
            if refused:
                break
        assert refused
        second = eventually(lambda: (answer := service.client.execute(HOLD, args=[0])).status == 200 and answer)
        assert (first.result().result, second.result) == ("held", "held")


def test_answers_are_never_mixed_up(start_service):
    service = start_service(supervisor={"slots": 4, "queue": 128, "queue_wait": '"60s"'})

    def main(number):
        import sys

        print(number)
        print(sys.stdin.read(), file=sys.stderr, end="")
        return number

    def one(number):
        answer = service.client.execute(main, args=[number], stdin=str(number))
        return answer.result, answer.stdout, answer.stderr

    with ThreadPoolExecutor(40) as pool:
        assert list(pool.map(one, range(120))) == [(number, f"{number}\n", str(number)) for number in range(120)]


@pytest.mark.neutral
def test_clients_that_hang_up_at_every_moment_cost_no_slot(start_service):
    import json
    import socket
    import time

    service = start_service(supervisor={"slots": 2, "queue": 50})
    host, port = service.address.split(":")
    body = json.dumps({"script": HOLD, "args": [9]}).encode()
    head = f"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    for number in range(60):
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(head.encode() + body)
            # Before, while and after the sandbox is built: which, is up to the machine.
            time.sleep(number / 1000)
    service.settle()
    with ThreadPoolExecutor(2) as pool:
        assert [answer.result for answer in pool.map(lambda _: service.client.execute(HOLD, args=[0.2]), range(4))] == ["held"] * 4
