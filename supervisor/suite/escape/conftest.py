"""Escape tests: fixtures that run an attack through HTTP, and with a layer left out."""

import json
import subprocess

import pytest

from client import Answer
from prelude import attack
from service import binary


@pytest.fixture
def attempt(execute):
    """Run an attack in the service; its result."""
    return lambda body, **fields: execute(attack(body), **fields).result


@pytest.fixture
def attempt_without(service):
    """Run an attack in a sandbox that lacks the named layers, so that another is seen to hold alone."""

    def run(body, *layers):
        options = [option for layer in layers for option in ("--without", layer)]
        command = [binary("cloister"), "run", "--policy", service.policy, *options, "-"]
        finished = subprocess.run(command, input=attack(body), capture_output=True, text=True, timeout=120)
        assert finished.stdout, finished.stderr
        return json.loads(finished.stdout)

    return run
