"""What the tests speak to a service with, and the small helpers that they share."""

import inspect
import textwrap
import time

import httpx

import cells


JOB_FIELDS = {"id", "stdout", "stderr", "truncated", "usage"}

# What is there only if there is something to say.
OPTIONAL_FIELDS = {"files", "files_missing", "files_left", "files_left_more"}


class Answer:
    """One response of the service. What the contract says of every answer is checked of every answer."""

    def __init__(self, response):
        self.status = response.status_code
        self.headers = response.headers
        self.body = response.json()
        self.cell = {field: self.body.pop(field) for field in cells.GIVEN if cells.CELLS and field in self.body}
        self.check()

    def check(self):
        fields = {200: JOB_FIELDS | {"result"}, 422: JOB_FIELDS | {"error"}}.get(self.status, {"id", "error"})
        if self.status in (200, 422):
            fields = fields | {field for field in OPTIONAL_FIELDS if self.body.get(field)}
        if self.cell and self.status == 200 and "result" not in self.body:
            fields = fields - {"result"}  # the value of a cell need have no form in JSON
        beside = {200: {"unfinished", "notes", "exit_code"}, 422: {"unfinished", "notes"}}.get(self.status, set())
        assert fields <= set(self.body) <= fields | beside, self
        assert self.headers["content-type"] == "application/json", self
        assert self.headers["x-cloister-id"] == self.body["id"] and len(self.body["id"]) == 32, self
        if "error" in fields:
            assert self.error["code"] and self.error["message"], self
            # Of every refusal, and of no verdict.
            assert ("ran" in self.error) == (set(self.body) == {"id", "error"} or self.code == "missing_packages"), self
            assert self.status != 503 or self.error["ran"] is False, self
        if "usage" in fields:
            assert set(self.body["usage"]) == {"wall_ms", "cpu_ms", "memory_peak_bytes"}, self
            assert set(self.body["truncated"]) <= {"stdout", "stderr", "files"}, self
            assert "files" in self.body["truncated"] or not any("omitted" in file for file in self.files), self

    @property
    def stdout(self):
        return self.body["stdout"]

    @property
    def stderr(self):
        return self.body["stderr"]

    @property
    def files(self):
        return self.body.get("files", [])

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

    def __init__(self, url, **options):
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=120, trust_env=False, **options)

    def execute(self, script, headers=None, **fields):
        body = {"script": script_of(script), **fields}
        if cells.CELLS and (response := cells.run(self.http, body, headers)) is not None:
            return Answer(response)
        return Answer(self.http.post("/execute", json=body, headers=headers))

    def post(self, content, headers=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        return Answer(self.http.post("/execute", content=content, headers=headers))


def script_of(script):
    """Source text as it is; a function named main as its own source, any other as that of what is inside it."""
    if isinstance(script, str):
        return script
    if script.__name__ == "main":
        return textwrap.dedent(inspect.getsource(script))
    lines = inspect.getsource(script).splitlines(keepends=True)
    body = next(number for number, line in enumerate(lines) if line.rstrip().endswith(":") and "def " in line) + 1
    return textwrap.dedent("".join(lines[body:]))


def eventually(condition, within=60):
    """Wait until a condition holds; the deadline is for a broken service, not for a slow one."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s, still {value!r}: {inspect.getsource(condition).strip()}"
        time.sleep(0.01)
    return value
