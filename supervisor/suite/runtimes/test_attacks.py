"""docs/runtimes.md, "What it is safe from": what a lock, a wheel, a wish and a job may try, and what comes of it."""

import os
from pathlib import Path

import pytest

from wheels import lock, locked, source, wheel

OUTSIDE = Path("/tmp/outside-of-a-build")


@pytest.fixture(autouse=True)
def nothing_outside():
    OUTSIDE.unlink(missing_ok=True)
    yield
    assert not OUTSIDE.exists(), "something was written where nothing may be"


def harmless(place):
    place.write_policy("one")
    return wheel(place.wheels, "one", "1.0", {"one.py": "x = 1\n"})


@pytest.mark.parametrize("line", [
    "--index-url https://index.invalid/simple",
    "--find-links /tmp",
    "-r /etc/passwd",
    "-e /tmp",
    "/tmp/one-1.0-py3-none-any.whl",
    f"one @ file:///tmp/one-1.0-py3-none-any.whl --hash=sha256:{'0' * 64}",
    f"one @ git+https://git.invalid/one --hash=sha256:{'0' * 64}",
    "one==1.0",
])
def test_a_lock_names_packages_and_digests_alone(place, line):
    digest = harmless(place)
    lock(place.lock_of("one"), [line] if line.startswith("one") else [locked("one", "1.0", digest), line])
    assert "is no lock" in place.refused("build", "one")
    assert not place.store.exists() or place.builds() == []


def test_a_lock_that_lies_about_a_digest_installs_nothing(place):
    harmless(place)
    lock(place.lock_of("one"), [locked("one", "1.0", "0" * 64)])
    assert "hash" in place.refused("build", "one").lower()
    assert place.builds() == [] and place.unfinished() == []


@pytest.mark.parametrize("file", ["../../../../../../..{}", "one/../../../../../../../..{}", "{}", "one-1.0.data/data/../../../../../../../..{}",
                                  "one-1.0.data/scripts/../../../../../../../..{}"])
def test_a_wheel_writes_nowhere_but_into_its_build(place, file):
    place.write_policy("one")
    digest = wheel(place.wheels, "one", "1.0", {"one.py": "x = 1\n", file.format(OUTSIDE): "x = 1\n"})
    lock(place.lock_of("one"), [locked("one", "1.0", digest)])
    # The installer leaves the file out, and the rest is built.
    place.run("build", "one")
    [build] = place.builds()
    packages = place.store / build / "packages"
    assert {path.name for path in packages.iterdir()} - {"__pycache__"} == {"one.py", "one-1.0.dist-info"}
    assert not list(place.directory.rglob(OUTSIDE.name))


def test_links_and_modes_of_a_wheel_are_not_those_of_a_build(place):
    place.write_policy("one")
    files = {"one.py": "x = 1\n", "tool": "#!/bin/sh\n", "secret": "/etc/shadow"}
    digest = wheel(place.wheels, "one", "1.0", files, links=["secret"], odd_modes=["tool"])
    lock(place.lock_of("one"), [locked("one", "1.0", digest)])
    place.run("build", "one")
    [build] = place.builds()
    for path in (place.store / build).rglob("*"):
        assert not path.is_symlink() and path.stat().st_mode & 0o6022 == 0, path
    # What was a link is a file with the link's text.
    assert (place.store / build / "packages/secret").read_text() == "/etc/shadow"


@pytest.mark.parametrize("wish, why", [
    ("--index-url https://index.invalid/simple\none", "is the option --index-url"),
    ("-e .", "is the option -e"),
    ("unbuilt", "unbuilt"),
    ("one @ file:///tmp/one-1.0-py3-none-any.whl", "one"),
])
def test_what_is_no_wheel_by_name_is_not_locked(place, wish, why):
    harmless(place)
    source(place.wheels, "unbuilt", "1.0")
    place.want("one", wish)
    assert why in place.refused("lock", "one")
    assert not place.lock_of("one").exists() and not Path("/tmp/built-by-a-package").exists()


def test_the_lock_before_stays_when_there_is_no_new_one(place):
    harmless(place)
    place.want("one", "one")
    place.run("lock", "one")
    before = place.lock_of("one").read_bytes()
    place.want("one", "nothing-of-the-kind")
    place.refused("lock", "one")
    assert place.lock_of("one").read_bytes() == before


# What a job may do to its packages, and what it sees of others'.
LOOK = """
import importlib.util, os, sys
def main(site, store):
    def attempt(do):
        try:
            do()
            return "done"
        except OSError as error:
            return type(error).__name__
    import one
    path = os.path.dirname(one.__file__)
    return {
        "site": path, "ours": sorted(name for name in os.listdir(path) if "." not in name and "__" not in name),
        "written": [attempt(lambda: open(path + "/new.py", "w")), attempt(lambda: open(path + "/one.py", "a")),
                    attempt(lambda: os.unlink(path + "/one.py")), attempt(lambda: os.rename(path + "/one.py", path + "/two.py")),
                    attempt(lambda: os.chmod(path + "/one.py", 0o777)), attempt(lambda: os.mkdir(path + "/d"))],
        "base": importlib.util.find_spec("numpy") is not None, "store": os.path.exists(store),
        "other": importlib.util.find_spec("other") is not None,
        "told": any(store in open(file).read() for file in ("/proc/self/mountinfo", "/proc/self/maps")),
    }
"""


def test_a_job_has_its_own_packages_to_read_and_sees_no_others(serve):
    def prepare(place):
        for name, module in [("one", "one"), ("two", "other")]:
            wheel(place.wheels, name, "1.0", {f"{module}.py": "x = 1\n", f"of_{module}/__init__.py": ""})
            place.want(name, name)
        place.run("lock")
        place.run("build")

    service, place = serve("one", "two", prepare=prepare)
    seen = service.client.execute(LOOK, profile="one", args=["", str(place.store)]).result
    assert seen["site"].startswith("/usr/lib/python3") and seen["ours"] == ["of_one"], seen
    assert set(seen["written"]) <= {"OSError", "PermissionError"}, seen
    assert not (seen["base"] or seen["store"] or seen["other"] or seen["told"]), seen
    assert service.client.execute("import other\ndef main(): return other.x", profile="two").result == 1
    assert service.client.execute("import numpy\ndef main(): return numpy.__name__").result == "numpy"
    assert {os.stat(path).st_uid for path in place.store.rglob("*")} == {0}
