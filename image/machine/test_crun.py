"""The tests of images in a virtual Debian 13, with its podman and crun, on version 2 of control groups and with AppArmor.

CLOISTER_IMAGES is where the images lie, CLOISTER_TEST_PACKAGES a directory with pytest.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "systemd/vm"))

from image import image, step  # noqa: E402
from machine import LUGGAGE, Machine  # noqa: E402

# What of them runs containers.
TESTS = ("test_run.py", "test_refused.py")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("luggage")
    tree, disk = scratch / "tree", scratch / "luggage.raw"
    for part in ("image/tests", "image/seccomp.json", "systemd/apparmor", "kubernetes/overlays"):
        (tree / part).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (REPOSITORY / part).is_dir() else shutil.copy
        copy(REPOSITORY / part, tree / part)
    shutil.copytree(os.environ["CLOISTER_IMAGES"], tree / "images")
    shutil.copytree(os.environ["CLOISTER_TEST_PACKAGES"], tree / "packages")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, disk, "2G"], check=True)
    shutil.rmtree(tree)
    machine = Machine(image("13", "podman", "crun"), disk, tmp_path_factory.mktemp("machine"))
    try:
        with step("boot Debian 13"):
            machine.wait_until_up()
        yield machine
    finally:
        machine.off()


def inside(machine, tests, *settings):
    """Run these tests of images in it."""
    # Plugins of others among the packages may be of another Python.
    settings = f"PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PYTHONPATH={LUGGAGE}/packages CLOISTER_IMAGES={LUGGAGE}/images CLOISTER_OCI_RUNTIME=crun {' '.join(settings)}"
    with step(f"run {tests}"):
        done = machine.ssh(f"cd {LUGGAGE}/image/tests && {settings} python3 -B -m pytest -q -ra -p no:cacheprovider {tests}", check=False, timeout=3600)
    print(done.stdout[-3000:])
    return done


def test_all_that_holds_with_runc_holds_with_crun(machine):
    assert "cgroup2" in machine.run("stat", "--file-system", "--format", "%T", "/sys/fs/cgroup") and machine.ssh("aa-enabled").stdout.strip() == "Yes"
    told = "\n".join(machine.run("podman", "info", "--format", "{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Version}}").splitlines())
    assert "crun" in told, told
    done = inside(machine, " ".join(TESTS))
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 20, done.stdout


def test_it_runs_under_the_profile_of_its_own(machine):
    machine.run("apparmor_parser", "-r", f"{LUGGAGE}/systemd/apparmor/cloister-supervisor")
    done = inside(machine, "test_run.py", "CLOISTER_APPARMOR=cloister-supervisor")
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout
