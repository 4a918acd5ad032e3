"""Each program's word of itself: completions and man pages, as the package installs them."""

import subprocess

import pytest

from service import binary

PROGRAMS = {
    "cloister": {"policy", "policy-check", "policy-explain", "policy-diff", "keys", "keys-new"},
    "cloister-gateway": {"serve", "openapi"},
    "cloister-supervisor": {"serve", "doctor", "run", "learn"},
}


@pytest.mark.parametrize(("name", "subcommands"), PROGRAMS.items())
def test_completions_and_man_pages(name, subcommands, tmp_path):
    program = binary(name)
    for shell in ("bash", "zsh", "fish"):
        text = subprocess.run([program, "completions", shell], check=True, capture_output=True, text=True).stdout
        assert all(part in text for word in subcommands for part in word.split("-")), shell
    subprocess.run([program, "man", tmp_path], check=True)
    pages = {path.name for path in tmp_path.iterdir()}
    assert pages >= {f"{name}.1", *(f"{name}-{word}.1" for word in subcommands)}
    # What is not for people has none.
    assert "launcher" not in " ".join(pages) and "reference" not in " ".join(pages)
    first = subprocess.run([program, "man"], check=True, capture_output=True, text=True).stdout
    assert first == (tmp_path / f"{name}.1").read_text()
    missing = subprocess.run([program, "man", tmp_path / "not-there"], capture_output=True, text=True)
    assert missing.returncode == 1 and "write man pages" in missing.stderr
