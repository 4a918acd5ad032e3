"""One machine for all tests, which run in the order in which they stand: it is installed, used, upgraded and purged.

CLOISTER_DEB is the package; CLOISTER_VM_RELEASE is 12 (the default) or 13; CLOISTER_TEST_PACKAGES a directory
with pytest and httpx for use inside.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from image import image
from machine import Machine
from service import Service

RELEASE = os.environ.get("CLOISTER_VM_RELEASE", "12")
began = {}


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """The package, and the same under the number of the one before it."""
    package = Path(os.environ["CLOISTER_DEB"]).resolve()
    scratch = tmp_path_factory.mktemp("previous")
    subprocess.run(["dpkg-deb", "--raw-extract", package, scratch / "tree"], check=True)
    control = scratch / "tree/DEBIAN/control"
    version = next(line for line in control.read_text().splitlines() if line.startswith("Version: "))
    control.write_text(control.read_text().replace(version, f"{version}~previous"))
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", scratch / "tree", scratch / "previous.deb"],
                   check=True, stdout=subprocess.DEVNULL)
    return scratch / "previous.deb", package


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    """A freshly booted Debian without Cloister."""
    missing = [tool for tool in ("mmdebstrap", "qemu-system-x86_64", "qemu-img", "mke2fs", "ssh") if not shutil.which(tool)]
    if missing:
        pytest.exit(f"there is no {missing[0]}: apt-get install mmdebstrap qemu-system-x86 qemu-utils e2fsprogs openssh-client", 1)
    machine = Machine(image(RELEASE), tmp_path_factory.mktemp("machine"))
    try:
        yield machine.wait_until_up()
    finally:
        machine.off()


@pytest.fixture(scope="session")
def service(machine):
    """The installed service. The first test installs it."""
    return Service(machine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure, what the journal said last."""
    report = yield
    machine = item.funcargs.get("machine") or getattr(item.funcargs.get("service"), "machine", None)
    if report.failed and machine is not None:
        said = machine.ssh("journalctl --no-pager -n 40 -u 'cloister*' -o short-monotonic", check=False, timeout=120).stdout
        report.sections.append(("journal", said))
    return report


def pytest_runtest_setup(item):
    began[item.nodeid] = time.monotonic()


def pytest_runtest_teardown(item):
    print(f"\nvm: {item.name}: {time.monotonic() - began[item.nodeid]:.0f} s")
