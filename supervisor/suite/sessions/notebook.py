"""A session as its client has it: cells, files, and what is told of it (docs/sessions.md)."""

import json
import textwrap
from contextlib import contextmanager

from client import JOB_FIELDS, Answer, script_of

# What the answer of a cell has if there is something to say.
BESIDE = {"text", "data", "display", "restored", "not_kept", "notes"}


class CellAnswer(Answer):
    """What a cell is answered with, or why there is no such answer."""

    def __init__(self, response):
        self.status, self.headers, self.body = response.status_code, response.headers, response.json()
        self.check()

    def check(self):
        fields = {200: JOB_FIELDS | {"session", "cell"}, 422: JOB_FIELDS | {"session", "cell", "error"}}.get(self.status, {"id", "error"})
        beside = {200: BESIDE | {"result"}, 422: BESIDE}.get(self.status, set())
        assert fields <= set(self.body) <= fields | beside, self
        assert self.headers["content-type"] == "application/json", self
        assert len(self.body["id"]) == 32, self
        assert self.status in (200, 422) or "ran" in self.error, self
        if "data" in self.body:
            assert self.body["data"]["text/plain"] == self.body["text"], self
        assert all("text/plain" in shown for shown in self.display), self

    @property
    def display(self):
        return self.body.get("display", [])

    @property
    def text(self):
        assert self.status == 200, self
        return self.body.get("text")

    @property
    def restored(self):
        return self.body.get("restored")


class Session:
    """One that is open."""

    def __init__(self, client, headers=None, **fields):
        self.http, self.headers = client.http, headers
        opened = self.http.post("/sessions", json=fields, headers=headers)
        assert opened.status_code == 201, opened.text
        self.opened, self.id = opened.json(), opened.json()["session"]
        assert self.id == opened.headers["x-cloister-id"], opened.text
        self.path = f"/sessions/{self.id}"

    def post(self, code, headers=None, **fields):
        """The response to a cell; code may be a function, whose inner lines it is then."""
        body = {"code": textwrap.dedent(code) if isinstance(code, str) else script_of(code), **fields}
        return self.http.post(f"{self.path}/execute", json=body, headers={**(self.headers or {}), **(headers or {})})

    def run(self, code, **fields):
        return CellAnswer(self.post(code, **fields))

    def value(self, code, **fields):
        return self.run(code, **fields).result

    @contextmanager
    def stream(self, code, **fields):
        """Run a cell, and see its events as they come."""
        body = {"code": textwrap.dedent(code), **fields}
        headers = {**(self.headers or {}), "Accept": "text/event-stream"}
        with self.http.stream("POST", f"{self.path}/execute", json=body, headers=headers) as response:
            assert response.status_code == 200, response.read()
            yield Events(response)

    def ask(self, method, what="", **options):
        return self.http.request(method, self.path + what, headers=self.headers, **options)

    def info(self):
        told = self.ask("GET")
        assert told.status_code == 200, told.text
        return told.json()

    def interrupt(self):
        told = self.ask("POST", "/interrupt")
        assert told.status_code == 200, told.text
        return told.json()["interrupted"]

    def put(self, path, content):
        put = self.ask("PUT", f"/files/{path}", content=content)
        assert put.status_code == 204 and not put.content, put.text

    def get(self, path):
        got = self.ask("GET", f"/files/{path}")
        assert got.status_code == 200, got.text
        assert got.headers["content-type"] == "application/octet-stream" and int(got.headers["content-length"]) == len(got.content)
        return got.content

    def files(self):
        told = self.ask("GET", "/files")
        assert told.status_code == 200, told.text
        return [file["path"] for file in told.json()["files"]]

    def ended(self):
        """Why it is over; nothing while it is not."""
        told = self.ask("GET")
        if told.status_code == 200:
            return None
        error = told.json()["error"]
        assert (told.status_code, error["code"], error["ran"]) == (410, "session_ended", False), told.text
        return error["reason"]

    def close(self):
        return self.ask("DELETE").status_code


class Events:
    """The events of a cell, one after another."""

    def __init__(self, response):
        self.id, self.lines = response.headers["x-cloister-id"], response.iter_lines()

    def __iter__(self):
        name = None
        for line in self.lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))

    def until(self, kind):
        """What the next of this kind says."""
        return next(data for name, data in self if name == kind)


@contextmanager
def opened(client, **fields):
    session = Session(client, **fields)
    try:
        yield session
    finally:
        session.close()


def refused(answer, status, code):
    """What a refusal says."""
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["ran"]) == (status, code, False), answer.text
    return error["message"]
