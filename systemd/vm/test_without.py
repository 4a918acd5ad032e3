"""A host that lacks something: `doctor` says which layer is missing and where it is found, and nothing is served."""

import pytest

from machine import LUGGAGE
from service import eventually

DOCTOR = "cloister doctor"
ANOTHER_HOST = "a virtual machine or a physical one with Debian 12 or newer"

# This machine's own /usr in a container.
CONTAINER = "systemd-nspawn --quiet --pipe --register=no --directory=/ --volatile=yes --bind-ro=/var/lib/cloister"


@pytest.fixture(scope="module", autouse=True)
def installed(service):
    """The package, on a machine that has seen it come and go or that has never had it."""
    service.apt("install", LUGGAGE / "current.deb")
    service.open_to_the_outside()
    service.wait_until_ready()


def lacking(machine, command=DOCTOR):
    """The layers that do not hold, each with what doctor says of it."""
    told = machine.ssh(command, check=False)
    rows = [line.removeprefix("FAIL  ") for line in told.stdout.splitlines() if line.startswith("FAIL  ")]
    assert told.returncode == 1 and rows, told.stdout
    return {row.split("  ")[0]: row for row in rows}


def test_user_namespaces_that_are_forbidden(machine):
    allowed = machine.run("sysctl", "-n", "user.max_user_namespaces")
    machine.run("sysctl", "-w", "user.max_user_namespaces=0")
    missing = lacking(machine)
    machine.run("sysctl", "-w", f"user.max_user_namespaces={allowed}")
    assert set(missing) == {"user namespaces"}
    assert "sysctl user.max_user_namespaces=" in missing["user namespaces"]


def test_a_container_without_ids_of_its_own_for_jobs(machine):
    missing = lacking(machine, f"{CONTAINER} --private-users=524288:65536 --bind-ro=/etc/cloister:/etc/cloister:idmap {DOCTOR}")
    assert "unprivileged container" in missing["host ids"] and ANOTHER_HOST in missing["host ids"]


def test_a_container_whose_filter_hides_a_layer(machine):
    missing = lacking(machine, f"{CONTAINER} --system-call-filter=~landlock_create_ruleset --bind-ro=/etc/cloister {DOCTOR}")
    assert set(missing) == {"Landlock"}
    assert "hidden by a filter on this process" in missing["Landlock"] and ANOTHER_HOST in missing["Landlock"]


def test_gvisor(machine):
    # Its kernel of its own says that it is Linux 4.4, and has next to nothing of what is needed.
    missing = lacking(machine, f"runsc --network=none do {DOCTOR}")
    assert set(missing) >= {"kernel", "Landlock", "cgroup"}
    assert all("without gVisor" in missing[layer] for layer in ("kernel", "Landlock", "cgroup"))


def test_a_kernel_without_landlock_and_without_limits_on_memory(service, machine):
    machine.reboot("lsm=apparmor cgroup_disable=memory")
    missing = lacking(machine)
    assert set(missing) == {"Landlock", "cgroup"}
    assert "boot with lsm=landlock" in missing["Landlock"] and ANOTHER_HOST in missing["Landlock"]
    assert "memory" in missing["cgroup"] and ANOTHER_HOST in missing["cgroup"]
    eventually(lambda: service.show("ActiveState") == "failed")
    assert not service.is_ready()


def test_the_next_boot_with_all_of_it_serves_by_itself(service, machine):
    machine.reboot()
    service.wait_until_ready()
    assert service.execute("def main(): return 1")[1]["result"] == 1
