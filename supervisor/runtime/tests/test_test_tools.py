"""Programs that the tests need are installed, whatever apt does to those that are there."""

import subprocess
import sys
from pathlib import Path

import pytest

RUNTIME = Path(__file__).resolve().parents[1]

# An apt-get for which the packages `one` and `other` are of two releases: to install one, it takes the other's program out
# until that is asked for too.
APT = """#!/bin/sh
cd "$(dirname "$0")"
[ "$1" = install ] || exit 0
for package in "$@"; do
    case $package in
        one) cp true one; rm -f other ;;
        other) cp true other ;;
    esac
done
"""


@pytest.fixture
def install(tmp_path):
    """Ask for programs where these are there already; what is said."""
    for name, text in {"apt-get": APT, "true": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(*wanted, there=()):
        for name in there:
            (tmp_path / name).write_bytes((tmp_path / "true").read_bytes())
            (tmp_path / name).chmod(0o755)
        code = f"import test_tools; test_tools.install_programs({list(wanted)})"
        done = subprocess.run([sys.executable, "-B", "-c", code], cwd=RUNTIME, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True)
        return done.returncode, done.stderr, {path.name for path in tmp_path.iterdir()}

    return run


def test_a_program_that_apt_takes_out_for_another_is_put_back(install):
    code, said, there = install("one", "other", there=["other"])
    assert (code, said) == (0, "") and {"one", "other"} <= there


def test_what_cannot_be_had_is_named(install):
    code, said, _ = install("one", "no-such-program=its-package")
    assert code == 1 and said == "cloister: its-package is needed: apt-get install its-package\n"


def test_what_is_not_missed_is_told_of(install):
    code, said, _ = install("no-such-program?")
    assert code == 0 and "no-such-program, and the tests that need it are skipped" in said
