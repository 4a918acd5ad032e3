"""The Python tree as build.py leaves it, and what it says where it cannot."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

BUILD = Path(__file__).resolve().parents[1] / "build.py"
TREE = Path(os.environ.get("CLOISTER_RUNTIME") or "/var/lib/cloister/python")


@pytest.fixture(scope="module")
def files():
    return [path for path in TREE.rglob("*") if not path.is_symlink()]


def build(*arguments, **environment):
    return subprocess.run([sys.executable, "-B", BUILD, *arguments], env={**os.environ, **environment},
                          capture_output=True, text=True)


def test_everything_is_roots_and_nobody_else_can_write(files):
    for path in files:
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (0, 0), path
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH), path


def test_everything_but_the_interpreter_is_readable(files):
    unreadable = [path.name for path in files if not path.stat().st_mode & stat.S_IROTH]
    assert unreadable == [next((TREE / "usr/bin").glob("python3.*")).name]


def test_the_interpreter_is_the_only_program():
    programs = sorted(path.name for path in (TREE / "usr/bin").iterdir())
    assert [name for name in programs if not name.startswith("python")] == []


def test_wheels_find_the_libraries_that_they_may_expect_of_any_system(files):
    present = {path.name for path in files}
    assert present >= {"libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1", "libstdc++.so.6"}


def test_no_link_leads_out(files):
    for path in TREE.rglob("*"):
        if path.is_symlink():
            assert path.resolve().is_relative_to(TREE.resolve()), path


def test_nothing_of_the_hosts_settings(files):
    settings = ("sitecustomize.py", "usercustomize.py", "pyvenv.cfg")
    assert not [path for path in files if path.name in settings or path.suffix == ".pth"]


def test_every_module_is_compiled_for_good(files):
    for path in files:
        if path.suffix == ".pyc":
            # PEP 552: flags 1 is a hash of the source that is never looked at.
            assert path.read_bytes()[4:8] == b"\1\0\0\0", path


def test_it_tells_what_is_in_it():
    told = json.loads((TREE / "base.json").read_text())
    [program] = (TREE / "usr/bin").glob("python3.*")
    assert told["python"].startswith(program.name.removeprefix("python") + ".")
    assert told["tag"] == "cp" + program.name.removeprefix("python").replace(".", "")
    assert re.fullmatch(r"2\.\d+", told["libc"])
    packages = TREE / told["site"].lstrip("/")
    found = {re.fullmatch(r"(.+?)-([^-]+)\.dist-info", path.name).groups() for path in packages.glob("*.dist-info")}
    assert {(each["name"], each["version"]) for each in told["packages"]} == {(re.sub("[-_.]+", "-", name).lower(), version) for name, version in found}
    assert {"numpy", "pandas", "flask", "dateutil"} <= set(told["modules"])
    for module in told["modules"]:
        assert (packages / module).is_dir() or list(packages.glob(f"{module}.*")), module


def test_fonts_come_with_their_licences():
    fonts = {path.name for path in (TREE / "usr/share/fonts/truetype").iterdir()}
    # One is fetched by apt, where there is one.
    by_apt = {"wqy-microhei.ttc"} if shutil.which("apt-get") else set()
    assert fonts == {"DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "NotoEmoji.ttf", *by_apt}
    licences = [path.read_text() for path in (TREE / "usr/share/doc/fonts").iterdir()]
    told = json.loads((TREE / "fonts.json").read_text())
    assert len(licences) == len(told) and all("icense" in text for text in licences)
    assert {file for font in told for file in font["files"]} == fonts
    for font in told:
        assert re.match(r"\d", font["version"]) and font["licence"] and font["package"].startswith("pkg:"), font
    [listed] = (TREE / "usr/share/matplotlib").glob("fontlist-*.json")
    named = {Path(entry["fname"]).name for entry in json.loads(listed.read_text())["ttflist"] if entry["fname"].startswith("/usr/share/fonts/")}
    assert named == fonts


def test_needs_root(tmp_path):
    nobody = ["setpriv", "--reuid", "65534", "--clear-groups", "/usr/bin/env"]
    done = subprocess.run([*nobody, "python3", "-B", BUILD, tmp_path], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin"})
    if "No such file" in done.stderr or "ermission" in done.stderr:
        pytest.skip("an unprivileged user can reach neither a Python nor the checkout")
    assert done.returncode == 1
    assert done.stderr == "runtime: the tree must belong to root: sudo make runtime\n"


def test_a_failed_build_leaves_the_old_tree(tmp_path):
    tree = tmp_path / "python"
    tree.mkdir()
    (tree / "stamp").write_text("of another build\n")
    done = build(tree, PIP_INDEX_URL="http://127.0.0.1:1/", PIP_EXTRA_INDEX_URL="", PIP_FIND_LINKS="", PIP_RETRIES="0",
                 PIP_NO_CACHE_DIR="1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("runtime: pip could not install requirements.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".python.lock", "python"]
    assert (tree / "stamp").read_text() == "of another build\n"


def test_a_tree_that_is_up_to_date_is_left_alone():
    before = TREE.stat().st_ino
    # The one that builds it is `make`'s python3, not the tests' own.
    python = os.environ.get("PYTHON", "python3")
    done = subprocess.run([python, "-B", BUILD, TREE], capture_output=True, text=True, check=True)
    assert done.stdout == f"runtime: {TREE} is up to date\n"
    assert TREE.stat().st_ino == before
