"""A service of the tests that does not start leaves nothing that runs."""

import pytest

from service import Service

pytestmark = pytest.mark.neutral


class NeverReady(Service):
    """Both daemons run, and it is told that they do not."""

    def wait_until_ready(self):
        super().wait_until_ready()
        raise AssertionError("not ready")


def test_a_start_that_fails_ends_what_it_has_started(names):
    service = NeverReady(warm=False)
    names += [service.cgroup, service.directory.name]
    try:
        with pytest.raises(AssertionError, match="not ready"):
            service.start()
        assert (service.supervisor.poll(), service.gateway.poll()) == (0, 0)
    finally:
        service.stop()
