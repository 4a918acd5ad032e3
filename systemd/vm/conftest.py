"""One machine for all tests, which run in the order in which they stand: it is installed, used, upgraded and purged.

CLOISTER_DEB is the package; CLOISTER_VM_RELEASE is 12 (the default) or 13; CLOISTER_TEST_PACKAGES a directory
with pytest and httpx for use inside.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import index
from image import image, step
from machine import Machine
from service import Service

REPOSITORY = Path(__file__).resolve().parents[2]
RELEASE = os.environ.get("CLOISTER_VM_RELEASE", "12")
began = {}


@pytest.fixture(scope="session")
def luggage(tmp_path_factory):
    """A disk with the package, the one before it, a package index, and what the suite needs inside. Copying it all over ssh would take minutes."""
    scratch = tmp_path_factory.mktemp("luggage")
    tree, disk = scratch / "tree", scratch / "luggage.raw"
    for part in ("supervisor/suite", "supervisor/bench", "supervisor/compat/programs"):
        shutil.copytree(REPOSITORY / part, tree / "cloister" / part)
    (tree / "cloister/policy").mkdir()
    shutil.copy(REPOSITORY / "policy/policy.toml", tree / "cloister/policy")
    shutil.copytree(os.environ["CLOISTER_TEST_PACKAGES"], tree / "packages")
    shutil.copy(os.environ["CLOISTER_DEB"], tree / "current.deb")
    with step("fetch packages for an index"):
        index.make(tree / "index", scratch / "fetched", "scipy", "requests")
    with step("make the package before it"):
        make_previous(tree / "current.deb", scratch / "unpacked", tree / "previous.deb")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, disk, "2G"], check=True)
    shutil.rmtree(tree)
    return disk


def make_previous(package, unpacked, previous):
    """The same under a lower number and with another policy."""
    subprocess.run(["dpkg-deb", "--raw-extract", package, unpacked], check=True)
    control = unpacked / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", r"\g<0>~previous", control.read_text()))
    with open(unpacked / "etc/cloister/policy.toml", "a") as policy:
        policy.write("# as it was before\n")
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", unpacked, previous], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(unpacked)


@pytest.fixture(scope="session")
def machine(tmp_path_factory, luggage):
    """A freshly booted Debian without Cloister."""
    machine = Machine(image(RELEASE), luggage, tmp_path_factory.mktemp("machine"))
    try:
        with step(f"boot Debian {RELEASE}"):
            machine.wait_until_up()
        yield machine
    finally:
        machine.off()


@pytest.fixture(scope="session")
def service(machine):
    """The installed service. The first test installs it."""
    return Service(machine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure is shown at once, for the whole takes long, and with what the journal said last."""
    report = yield
    machine = item.funcargs.get("machine") or getattr(item.funcargs.get("service"), "machine", None)
    if report.failed and machine is not None:
        said = machine.ssh("journalctl --no-pager -n 40 -u 'cloister*' -o short-monotonic", check=False, timeout=120).stdout
        report.sections.append(("journal", said))
        print(f"\n{report.longreprtext}\n{said}")
    return report


def pytest_runtest_setup(item):
    began[item.nodeid] = time.monotonic()


def pytest_runtest_teardown(item):
    print(f"\nvm: {item.name}: {time.monotonic() - began[item.nodeid]:.0f} s")
