"""What preflight.sh says of a machine that lacks something: one sentence, with the command that mends it."""

import subprocess
from pathlib import Path

import pytest

PREFLIGHT = Path(__file__).resolve().parents[1] / "preflight.sh"
RUST = (PREFLIGHT.parents[2] / "Cargo.toml").read_text().split('rust-version = "')[1].split('"')[0]


@pytest.fixture
def machine(tmp_path):
    """A machine with nothing but stand-ins for what preflight looks for."""
    programs = {"cargo": "exit 0", "rustc": f"echo rustc {RUST}.0 0", "cc": "exit 0", "python3": "exit 0",
                "id": "echo 0"}
    for tool in ("uname", "sort", "head", "cut", "sed", "getent", "dirname"):
        programs[tool] = f'exec /usr/bin/{tool} "$@"'

    def check(*arguments, lacks=(), **instead):
        for name, text in {**programs, **instead}.items():
            if name not in lacks:
                (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
                (tmp_path / name).chmod(0o755)
        return subprocess.run([PREFLIGHT, *arguments], env={"PATH": str(tmp_path), "SUDO_USER": "nobody"},
                              capture_output=True, text=True)

    return check


def test_a_machine_that_has_all(machine):
    done = machine("root")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("change", "sentence", "command"), [
    ({"id": "echo 1000"}, "need root", "sudo"),
    ({"uname": "echo Darwin arm64"}, "Linux on x86-64 only", "Darwin arm64"),
    ({"lacks": ["cargo"]}, "no Rust toolchain", "rustup.rs"),
    ({"rustc": "echo rustc 1.63.0 0"}, f"Rust {RUST} or newer", "rustup update"),
    ({"rustc": "exit 1"}, "rustc does not run", "rustup default stable"),
    ({"lacks": ["cc"]}, "no C compiler", "apt-get install gcc"),
    ({"lacks": ["python3"]}, "no python3", "apt-get install python3"),
    ({"python3": 'echo Python 3.8.1; exit 1'}, "Python 3.10 or newer", "apt-get install"),
])
def test_what_is_missing_is_one_sentence(machine, change, sentence, command):
    done = machine("root", **change)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("cloister: ") and sentence in done.stderr and command in done.stderr
