"""A kernel of the shared service, and its channels."""

import pytest

from channels import channels


@pytest.fixture
def jupyter(service):
    """Where clients of Jupyter are pointed at."""
    return f"{service.client.url}/jupyter"


@pytest.fixture
def kernel(service):
    """The id of a kernel, which is not there any more after the test."""
    opened = service.client.http.post("/jupyter/api/kernels")
    assert opened.status_code == 201, opened.text
    yield opened.json()["id"]
    assert service.client.http.delete(f"/jupyter/api/kernels/{opened.json()['id']}").status_code in (204, 404, 410)


@pytest.fixture
def talk(jupyter, kernel):
    with channels(jupyter, kernel) as talk:
        yield talk
