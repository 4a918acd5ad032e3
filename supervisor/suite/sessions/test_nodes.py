"""docs/deploy.md, Going without loss: sessions of two nodes behind a balancer that goes by their ids."""

import asyncio
import json
import signal
import sys
import uuid
from types import SimpleNamespace

import pytest
import websockets

from client import Client, eventually
from notebook import Session, opened
from service import REPOSITORY, Service, free_port

sys.path.append(str(REPOSITORY / "supervisor/balancer"))

from haproxy import balancer  # noqa: E402

# Longer than a balancer takes to notice.
NOTICE = "8s"
NUMBERS = (1, 254)


@pytest.fixture(scope="module")
def nodes():
    made = []
    try:
        for number in NUMBERS:
            options = ["--node", number, "--drain-notice", NOTICE]
            made.append(Service(supervisor={"slots": 4}, gateway_options=options).start())
        yield made
    finally:
        for node in made:
            node.stop()


@pytest.fixture(scope="module")
def behind(nodes, tmp_path_factory):
    """A client of both, and the balancer between."""
    port = free_port()
    servers = [SimpleNamespace(name=f"n{number}", address=node.address) for number, node in zip(NUMBERS, nodes)]
    with balancer(7, servers, tmp_path_factory.mktemp("balancer"), port, NUMBERS) as running:
        yield Client(f"http://127.0.0.1:{port}"), running


def test_a_session_is_found_on_the_node_that_its_id_names(behind):
    client, _ = behind
    sessions = [Session(client) for _ in range(4)]
    assert {session.id[:2] for session in sessions} == {"01", "fe"}
    for number in range(6):
        for session in sessions:
            session.run("x = []") if number == 0 else None
            assert session.value(f"x.append({number}); len(x)") == number + 1
    for session in sessions:
        session.put("a", b"1")
        assert session.files() == ["a"] and session.info()["cells"] == 7
        assert not session.interrupt() and session.close() == 204 and session.ended() == "closed"


def test_what_is_returned_to_its_calls_comes_there_too(behind):
    client, _ = behind
    for _ in range(4):
        with opened(client) as session:
            waits = session.post("from cloister import tools; tools.double(4)", tools=[{"name": "double"}])
            assert waits.status_code == 202, waits.text
            told = client.http.post(f"/execute/{waits.json()['id']}/returns", json={"returns": [{"call": 1, "value": 8}]})
            assert (told.status_code, told.json()["result"]) == (200, 8), told.text


def test_a_conversation_and_a_kernel_are_where_their_session_is(behind):
    client, _ = behind

    async def cell(session):
        address = f"ws://{client.http.base_url.host}:{client.http.base_url.port}/connect?session={session.id}"
        async with websockets.connect(address) as conversation:
            await conversation.send(json.dumps({"type": "execute", "session": session.id, "code": "x + 1"}))
            async for message in conversation:
                if json.loads(message)["type"] not in ("started", "stdout", "display"):
                    return json.loads(message)

    for _ in range(4):
        with opened(client) as session:
            assert session.run("x = 41").status == 200
            assert asyncio.run(cell(session))["result"] == 42
            kernel = client.http.get(f"/jupyter/api/kernels/{uuid.UUID(session.id)}")
            assert kernel.status_code == 200 and uuid.UUID(kernel.json()["id"]).hex == session.id


def test_who_must_move_takes_his_session_along(behind, nodes):
    """The last: one of the nodes goes."""
    client, running = behind
    staying, going = (next(session for session in (Session(client) for _ in range(4)) if session.id.startswith(digits)) for digits in ("01", "fe"))
    for session in (staying, going):
        assert session.run("x = 20").status == 200
    going.put("kept", b"content")
    nodes[1].gateway.send_signal(signal.SIGTERM)
    eventually(lambda: running.states()["n254"] != "UP", within=30)
    # It is out for all who ask for something new, and there for those who have something on it.
    assert going.value("x + 1") == 21
    export = going.ask("GET", "/export").json()
    moved = Session(client, **export)
    assert moved.id.startswith("01") and moved.value("x + 1") == 21 and moved.get("kept") == b"content"
    assert nodes[1].gateway.wait(60) == 0
    nodes[1].supervisor.send_signal(signal.SIGTERM)
    assert nodes[1].supervisor.wait(60) == 0
    for answer in (going.post("x"), going.ask("GET"), going.ask("GET", "/files"), going.ask("DELETE")):
        error = answer.json()["error"]
        assert (answer.status_code, error["reason"]) == (410, "node_going") and "node 254" in error["message"], answer.text
    assert staying.value("x + 1") == 21 and Session(client).id.startswith("01")
