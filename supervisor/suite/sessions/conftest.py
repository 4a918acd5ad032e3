"""A session of the shared service, and others besides."""

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

# The client of conversations, and what tests of quotas share.
sys.path += [str(Path(__file__).parents[1] / room) for room in ("tools", "gateway")]

from notebook import opened  # noqa: E402


@pytest.fixture
def session(client):
    with opened(client) as session:
        yield session


@pytest.fixture
def open_session(client):
    """Open sessions, which are closed after the test: `open_session(profile="tiny")`, or on another service with `on`."""
    with ExitStack() as stack:
        yield lambda on=None, **fields: stack.enter_context(opened(on.client if on else client, **fields))
