"""Clients that ask one thing after another, each on a connection of its own, and remember every answer."""

import collections
import json
import threading
import urllib.error
import urllib.request
from http.client import HTTPException

QUICK = "def main(n): return n"


class Load:
    """Runs while the `with` block does. Afterwards `answers` counts statuses, and `broken` holds what was no answer."""

    def __init__(self, url, clients=4, script=QUICK):
        self.url, self.script = url, script
        self.answers, self.broken = collections.Counter(), []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.ask_on) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def ask_on(self):
        number = 0
        while not self.over.is_set():
            number += 1
            try:
                status, body = execute(self.url, self.script, args=[number])
                assert status != 200 or body["result"] == number, body
                self.answers[status] += 1
            except (OSError, HTTPException) as error:
                self.broken.append(repr(error))

    def served(self):
        """How many scripts have run so far."""
        return self.answers[200]


def execute(url, script, key=None, trust=None, **fields):
    """One request on a new connection, with a key where one is needed and with certificates to trust: the status and the answer."""
    body = json.dumps({"script": script, **fields}).encode()
    request = urllib.request.Request(f"{url}/execute", body, {"Content-Type": "application/json", "Connection": "close"})
    if key is not None:
        request.add_header("Authorization", f"Bearer {key}")
    return fetch(request, trust)


def get(url, path):
    return fetch(urllib.request.Request(url + path))


def ask(url, path, body=None, method=None):
    """One request with JSON, or without a body: the status and the answer, which is nothing of one without content."""
    body = None if body is None else json.dumps(body).encode()
    return fetch(urllib.request.Request(url + path, body, {"Content-Type": "application/json"}, method=method))


def fetch(request, trust=None):
    # Longer than anything may take: an answer that does not come at all is what this is to find.
    try:
        with urllib.request.urlopen(request, timeout=300, context=trust) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as answer:
        return answer.code, json.load(answer)
