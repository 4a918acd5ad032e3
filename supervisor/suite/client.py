"""What the tests speak to a service with, and the small helpers that they share."""

import inspect
import textwrap
import time

import httpx


class Answer:
    """One response of the service."""

    def __init__(self, response):
        self.status = response.status_code
        self.headers = response.headers
        self.body = response.json()

    @property
    def result(self):
        assert self.status == 200, self.body
        return self.body["result"]

    @property
    def error(self):
        assert "error" in self.body, self.body
        return self.body["error"]

    @property
    def code(self):
        return self.error["code"]

    def __repr__(self):
        return f"<{self.status} {str(self.body)[:2000]}>"


class Client:
    """Speaks HTTP to one address; every call is one request."""

    def __init__(self, url):
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=120, trust_env=False)

    def execute(self, script, headers=None, **fields):
        body = {"script": script_of(script), **fields}
        return Answer(self.http.post("/execute", json=body, headers=headers))

    def post(self, content, headers=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        return Answer(self.http.post("/execute", content=content, headers=headers))


def script_of(script):
    """Source text as it is; a function as the source of what is inside it."""
    if isinstance(script, str):
        return script
    lines = inspect.getsource(script).splitlines(keepends=True)
    body = next(number for number, line in enumerate(lines) if line.rstrip().endswith(":") and "def " in line) + 1
    return textwrap.dedent("".join(lines[body:]))


def eventually(condition, within=15):
    """Wait until a condition holds; the deadline is for a broken service, not for a slow one."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {inspect.getsource(condition).strip()}"
        time.sleep(0.02)
    return value
