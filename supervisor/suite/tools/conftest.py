"""A conversation with the shared service, and a service whose profiles have little patience."""

import pytest

from talk import conversation

IMPATIENT = """
[profile.short]
extends = "default"
wall_time = "1s"

[profile.busy]
extends = "default"
wall_time = "1s"
cpu_time = "30s"

[profile.waits]
extends = "default"
tools = { wait = "400ms" }

[profile.total]
extends = "default"
tools = { wait = "10s", total = "700ms" }

[profile.few]
extends = "default"
tools = { most = 3 }

[profile.small]
extends = "default"
tools = { bytes = "1KiB" }

[profile.none]
extends = "default"
tools = { most = 0 }
"""


@pytest.fixture
def talk(service):
    with conversation(service) as talk:
        yield talk


@pytest.fixture(scope="module")
def impatient(start_for_module):
    return start_for_module(policy=IMPATIENT)


@pytest.fixture
def short_talk(impatient):
    with conversation(impatient) as talk:
        yield talk
