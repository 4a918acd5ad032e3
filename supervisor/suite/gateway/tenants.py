"""What tests of quotas and usage events share: a gateway with keys, a state directory and a file of events."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx

from client import eventually
from keys import bearer
from service import GATEWAY_ID, binary, free_port

DAY = timedelta(days=1)


def today():
    return datetime.now(timezone.utc).date()


class Tenants:
    """Directories of the gateway's own, and the keys; `under` is where the file of events is."""

    def __init__(self, under=None):
        self.directory = Path(tempfile.mkdtemp(prefix="cloister-tenants-"))
        self.directory.chmod(0o755)
        self.keys, self.state = self.directory / "keys/keys.toml", self.directory / "state"
        self.usage = (under or self.directory / "usage") / "usage.jsonl"
        for directory in (self.keys.parent, self.state, self.usage.parent):
            directory.mkdir(exist_ok=True)
            directory.chmod(0o700)
            os.chown(directory, GATEWAY_ID, GATEWAY_ID)
        self.port = free_port()
        self.options = ["--keys", self.keys, "--state", self.state, "--usage", self.usage,
                        "--metrics", f"0.0.0.0:{self.port}", "--metrics-public", "--metrics-by-key"]

    def command(self, *arguments):
        """`cloister keys`, as an operator types it."""
        return subprocess.run([binary("cloister"), "keys", "--keys", self.keys, *arguments], capture_output=True, text=True)

    def __call__(self, *arguments):
        done = self.command(*arguments)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def key(self, service, name, *options):
        """A new key that the gateway knows already."""
        key = self("new", name, *options)
        # Of a profile that there is not: known, and nothing is counted.
        eventually(lambda: service.client.execute("x", headers=bearer(key), profile="none").status != 401)
        return key

    def used(self, name):
        """What a key has used, as operators are told."""
        [told] = json.loads(self("usage", "--state", self.state, "--json", name))["keys"]
        return told

    def write_used(self, key, day, **used):
        """What a gateway before would have left of a key."""
        kept = {"version": 1, "day": str(day), "saved": f"{day}T00:00:00Z", "keys": {key.split("_")[1]: used}}
        (self.state / "used.json").write_text(json.dumps(kept))
        os.chown(self.state / "used.json", GATEWAY_ID, GATEWAY_ID)

    def metrics(self):
        """Every series with its value."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", trust_env=False).text
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

    def events(self, *files):
        """Every event that is told, read as strictly as a program reads it."""
        text = "".join(file.read_text() for file in files or [self.usage] if file.exists())
        assert text == "" or text.endswith("\n"), text[-300:]
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def event(self, of):
        """The one event of a request, which is told of soon."""
        found = lambda: [event for event in self.events() if event["id"] == of]
        [event] = eventually(found)
        return event

    def remove(self):
        shutil.rmtree(self.directory)


def stop_gateway(service, how=signal.SIGTERM):
    service.gateway.send_signal(how)
    return service.gateway.wait(60)


def start_gateway(service):
    service.start_gateway()
    service.wait_until_ready()


def refused_start(*options):
    """What a gateway says that does not start."""
    command = [binary("cloister-gateway"), "serve", "--listen", "127.0.0.1:0", "--socket", "/tmp/none.sock", "--user", str(GATEWAY_ID)]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1, ended
    return ended.stderr


def midnight_in():
    now = datetime.now(timezone.utc)
    return (datetime.combine(now.date() + DAY, datetime.min.time(), timezone.utc) - now).total_seconds()


def call(service, key, **arguments):
    """The tool's result, over MCP."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "execute_python", "arguments": arguments}}
    headers = {**bearer(key), "Accept": "application/json, text/event-stream"}
    return service.client.http.post("/mcp", json=message, headers=headers).json()["result"]


def flood(service, key, count):
    """So many requests one behind the other on a connection; the statuses of the answers."""
    host, port = service.address.split(":")
    body = b'{"script": "def main(): return 1"}'
    head = f"POST /execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    answers = 0
    statuses = set()
    with socket.create_connection((host, int(port)), timeout=60) as connection, connection.makefile("rb") as reader:
        for _ in range(count // 100):
            connection.sendall((head.encode() + body) * 100)
            for _ in range(100):
                statuses.add(int(reader.readline().split()[1]))
                length = 0
                while (line := reader.readline().lower()) != b"\r\n":
                    length = int(line.split()[1]) if line.startswith(b"content-length:") else length
                reader.read(length)
                answers += 1
    assert answers == count
    return statuses
