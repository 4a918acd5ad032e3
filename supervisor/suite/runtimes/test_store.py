"""docs/runtimes.md, "What it is safe from": who else could change what root installs from and what jobs then see."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from service import binary
from wheels import lock, locked, wheel

# Whom no account is.
STRANGER = 60_001


def wanted(place, python=None):
    place.write_policy("one")
    place.want("one", "one")
    digest = wheel(place.wheels, "one", "1.0", {"one.py": "x = 1\n"})
    lock(place.lock_of("one"), [locked("one", "1.0", digest)], **({"python": python} if python else {}))


def open_to_all(path):
    path.chmod(0o777)


def of_a_stranger(path):
    os.chown(path, STRANGER, STRANGER)


@pytest.mark.parametrize("command", [["lock", "one"], ["build", "one"], ["try", "one"], ["gc"]], ids=lambda command: command[0])
@pytest.mark.parametrize("given_away", [open_to_all, of_a_stranger])
def test_a_store_that_others_could_change_is_not_used(place, command, given_away):
    wanted(place)
    place.store.mkdir()
    given_away(place.store)
    assert "cannot be trusted" in place.refused(*command)
    assert list(place.store.iterdir()) == []


def test_a_store_in_whose_place_others_could_put_another_is_not_used(place):
    wanted(place)
    place.store.mkdir()
    place.directory.chmod(0o777)
    assert "could put another in its place" in place.refused("build", "one")


def test_the_kept_installer_is_roots_alone(place, tools):
    wanted(place)
    kept = place.store / ".tools" / tools.parent.name
    shutil.copytree(tools.parent, kept)
    (kept / "bin/uv").chmod(0o775)
    assert "uv of" in place.refused("build", "one")
    (kept / "bin/uv").chmod(0o755)
    place.run("build", "one")


def test_a_lock_for_another_python_is_not_built(place):
    wanted(place, python="3.2")
    assert "is a lock for Python 3.2" in place.refused("build", "one")
    assert not place.store.exists() or place.builds() == []


def test_a_build_with_a_link_is_neither_tried_nor_used(place):
    wanted(place)
    place.run("build", "one")
    [build] = place.builds()
    (place.store / build / "packages/more").symlink_to("/etc")
    assert "neither a file nor a directory" in place.refused("try", "one")
    checked = subprocess.run([binary("cloister"), "policy", "check", place.policy], capture_output=True, text=True)
    assert checked.returncode == 1 and "neither a file nor a directory" in checked.stdout + checked.stderr


def test_nothing_that_lies_where_a_command_is_started_is_run_or_asked(place):
    """Modules called pip and settings of the installer's in a directory that somebody else filled."""
    wanted(place)
    there, told = place.directory / "elsewhere", place.directory / "told"
    there.mkdir()
    for module in ("pip", "logging"):
        (there / f"{module}.py").write_text(f"open({str(told)!r}, 'w')\n")
    (there / "uv.toml").write_text("no-index = 'yes'\n")
    place.lock_of("one").unlink()
    environment = place.environment(VIRTUAL_ENV=str(there), PIP_FIND_LINKS=str(Path("../wheels")))
    for command in ("lock", "build"):
        done = subprocess.run([binary("cloister"), "runtime", command, "one", "--policy", place.policy], cwd=there, env=environment,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert not told.exists()


def test_a_lock_is_written_to_no_file_that_a_link_names(place):
    wanted(place)
    other = place.directory / "other"
    other.write_text("as it was")
    link = place.lock_of("one")
    link.with_name(f"{link.name}.new").symlink_to(other)
    place.run("lock", "one")
    assert other.read_text() == "as it was" and "one==1.0" in link.read_text()
