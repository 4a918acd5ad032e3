"""docs/runtimes.md, "The store": a build is complete or not there, whatever ends who makes it."""

import signal

from client import eventually
from wheels import wheel

# An import that takes until a test has seen it.
SLOW = "import time\ntime.sleep(100)\n"


def prepare(place, source="x = 1\n"):
    place.write_policy("one")
    wheel(place.wheels, "one", "1.0", {"one.py": source})
    place.want("one", "one")
    place.run("lock", "one")


def test_a_build_that_is_killed_is_not_there_and_the_next_cleans_up(place):
    prepare(place, SLOW)
    building = place.start("build", "one")
    for line in building.stderr:
        if "importing 1 modules" in line:
            break
    [left] = place.unfinished()
    building.send_signal(signal.SIGKILL)
    building.communicate()
    assert place.builds() == [] and place.unfinished() == [left]
    assert "not built: cloister runtime build one" in place.run("list")
    # Whatever the next one is for.
    wheel(place.wheels, "other", "1.0", {"other.py": "x = 1\n"})
    place.want("one", "other")
    place.run("lock", "one")
    place.run("build", "one")
    assert len(place.builds()) == 1 and place.unfinished() == []


def test_two_at_once_make_one_build(place):
    prepare(place)
    two = [place.start("build", "one") for _ in range(2)]
    said = [process.communicate(timeout=300) for process in two]
    assert [process.returncode for process in two] == [0, 0], said
    assert len(place.builds()) == 1 and place.unfinished() == []
    assert sorted("was there" in out for out, _ in said) == [False, True], said


def test_disk_is_bounded_and_what_could_not_be_made_leaves_nothing(place):
    prepare(place)
    said = place.refused("build", "one", "--most", "1KiB")
    assert "would take more than 1KiB" in said and "cloister runtime gc" in said
    assert place.builds() == [] and place.unfinished() == []


def test_a_build_that_others_could_change_is_not_used(place):
    prepare(place)
    place.run("build", "one")
    [build] = place.builds()
    (place.store / build / "packages/one.py").chmod(0o666)
    assert "may be written by others" in place.refused("build", "one")


def test_a_command_for_a_runtime_that_is_not_there_says_which_are(place):
    prepare(place)
    assert "those are: one" in place.refused("lock", "two")
    place.write_policy()
    assert "say base and packages in [runtime.NAME]" in place.refused("build")


def test_modules_are_compiled_and_readable_whatever_the_operators_mask_is(place):
    prepare(place)
    place.run("build", "one")
    [build] = place.builds()
    packages = place.store / build / "packages"
    [compiled] = (packages / "__pycache__").glob("one.*.pyc")
    # PEP 552: compiled by hash, and not checked.
    assert compiled.read_bytes()[4:8] == b"\x01\0\0\0"
    for path in [place.store / build, *(place.store / build).rglob("*")]:
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (0, 0) and status.st_mode & 0o7777 == (0o755 if path.is_dir() else 0o644), path
    eventually(lambda: place.unfinished() == [])
