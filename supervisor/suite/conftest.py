"""Fixtures: a service that all tests share, and services of a test's own.

With CLOISTER_URL the tests run against an installed service on this host, and those that must start,
stop or reconfigure one, or look into its daemons, are skipped.
"""

import re
import subprocess
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest

import cells
import grown
import scientific as numeric
from client import Client
from host import Host, check_that_nothing_is_left
from keys import KeyFile
from service import INSTALLED, JOBS, POLICY, PROFILES, Service, binary, host_processes, name_of, of_tree, running, standard_library


def installed_policy():
    policy = Path("/etc/cloister/policy.toml")
    return (policy if policy.exists() else POLICY).read_text()


class Installed:
    """The service at CLOISTER_URL, of which the suite knows its address, its policy and its jobs' host ids."""

    socket = Path("/run/cloister/supervisor.sock")

    def __init__(self):
        self.client = Client(INSTALLED)
        self.uid_base = int(re.search(r"(?m)^uid_base = (\d+)", installed_policy())[1])
        # For sandboxes of a test's own, which are started once each and need nothing warm.
        self.directory = tempfile.TemporaryDirectory(prefix="cloister-suite-")
        self.policy = Path(self.directory.name) / "policy.toml"
        self.policy.write_text(re.sub(r"(?m)^warm = \{.*\}", "warm = false", installed_policy()))

    def id_of(self, process):
        return dict(host_processes()).get(process)

    def job_processes(self):
        return [pid for pid, uid in host_processes() if self.uid_base < uid < self.uid_base + JOBS and name_of(pid) != "parked"]

    def __getattr__(self, name):
        pytest.skip(f"an installed service has no {name} for the tests to use")


def pytest_collection_modifyitems(items):
    for item in items:
        why = cells.CELLS and (cells.OF_JOBS.get(item.name) or cells.OF_JOBS.get(item.path.name))
        if why:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def names():
    """The names of all services that were started. After the tests nothing on the host bears one."""
    names = []
    before = Host.now(names)
    yield names
    try:
        check_that_nothing_is_left(before, names)
    except AssertionError as left:
        # No single test is to blame.
        pytest.exit(str(left), returncode=2)


def begin(names, **options):
    service = Service(**options)
    names += [service.cgroup, service.directory.name]
    running.append(service)
    return service


def end(service):
    running.remove(service)
    service.stop()


@pytest.fixture(scope="session")
def service(names):
    """A service that tests share; they must leave it as it was."""
    if INSTALLED:
        yield Installed()
    else:
        service = begin(names, policy=PROFILES)
        try:
            service.start()
            before = grown.GROWN and grown.grow(service)
            yield service
            if before:
                grown.check(service, before)
        finally:
            end(service)


@pytest.fixture(scope="session")
def client(service):
    """A client of the shared service."""
    return service.client


@pytest.fixture(scope="session")
def execute(client):
    """Run a script on the shared service: `execute(script, **fields)`, see `client.script_of`."""

    def run(script, **fields):
        if INSTALLED and f"[profile.{fields.get('profile', 'default')}]" not in installed_policy():
            pytest.skip(f"the installed service has no profile {fields['profile']}")
        return client.execute(script, **fields)

    return run


def starting(names):
    """Start services of the test's own; they are stopped after it. Options: see `Service`."""
    if INSTALLED:
        pytest.skip("needs services of its own")
    own = []

    def start(**options):
        service = begin(names, **options)
        own.append(service)
        return service.start()

    yield start
    with ExitStack() as stack:
        # Each of them, also where another's end was not as it should be.
        for service in own:
            stack.callback(end, service)


start_service = pytest.fixture(name="start_service")(starting)
start_for_module = pytest.fixture(name="start_for_module", scope="module")(starting)


@pytest.fixture(scope="module")
def scientific(start_for_module):
    """A service whose profile `scientific` has matplotlib, scikit-learn and others: see the module of this name."""
    return start_for_module(policy=numeric.profile())


@pytest.fixture
def keys(tmp_path_factory):
    """A key file for a gateway of the test's own."""
    directory = tmp_path_factory.mktemp("keys")
    for parent in directory.parents:
        if parent.owner() == "root" and parent.stat().st_mode & 0o005 != 0o005 and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    return KeyFile(directory)


@pytest.fixture
def refused_start(tmp_path, names):
    """Start a supervisor with a policy that keeps it from serving; what it says."""

    def start(text):
        group, policy = f"cloister-{uuid.uuid4().hex[:8]}", tmp_path / "policy.toml"
        names.append(group)
        policy.write_text(of_tree(text))
        policy.chmod(0o644)
        command = [binary("cloister-supervisor"), "serve", "--policy", policy, "--socket", tmp_path / "s", "--cgroup", group]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 1, ended
        return ended.stderr

    return start


class OwnModule:
    """A module of an operator's own, and the profile `own` that imports it ahead.

    Its directory covers that of `wsgiref` in the standard library, and so lies on the interpreter's path.
    """

    def __init__(self, directory):
        self.file = directory / "__init__.py"
        directory.chmod(0o755)

    def profile(self, source, options=""):
        """The profile, for a module with this source. It can be rewritten while a service runs."""
        self.rewrite(source)
        return f"""
[profile.own]
extends = "default"
warm = {{ imports = ["wsgiref"], parked = 2{options} }}
filesystem = {{ read_only = ["{self.file.parent}:{standard_library()}/wsgiref"] }}
"""

    def rewrite(self, source):
        self.file.write_text(source)
        self.file.chmod(0o644)


@pytest.fixture
def own_module():
    """See `OwnModule`."""
    with tempfile.TemporaryDirectory(prefix="cloister-module-") as directory:
        yield OwnModule(Path(directory))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure, what the daemons logged last."""
    report = yield
    if report.failed:
        report.sections += [(f"log of the {name}", tail(service.log(name))) for service in running for name in ("supervisor", "gateway")]
    return report


def tail(log):
    return "\n".join(log.splitlines()[-12:])
