"""Fixtures: a node of the tests' own, with the policy as shipped."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "examples"), str(ROOT / "supervisor/suite")]

from service import Service  # noqa: E402, of the black-box suite


@pytest.fixture(scope="session", autouse=True)
def service():
    """The real daemons. The examples find them as those of their readers would: by the environment."""
    service = Service()
    try:
        service.start()
        os.environ["CLOISTER_URL"] = f"http://{service.address}"
        yield service
    finally:
        service.stop()
