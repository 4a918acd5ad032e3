"""Each program's command line in completions and man pages, as the package installs them."""

import subprocess

import pytest

from service import binary

# Whoever says it, and what there is to say.
PROGRAMS = {
    "cloister": ("cloister", {"doctor", "run", "learn", "policy", "policy-check", "policy-explain", "policy-diff", "keys", "keys-new"}),
    "cloister-gateway": ("cloister-gateway", {"serve", "openapi"}),
    "cloister-supervisor": ("cloister", {"serve"}),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_completions_and_man_pages(name, tmp_path):
    teller, subcommands = PROGRAMS[name]
    program = binary(teller)
    for shell in ("bash", "zsh", "fish"):
        command = [program, "completions", shell, *(["--program", name] if teller != name else [])]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert name in text and all(part in text for word in subcommands for part in word.split("-")), shell
    subprocess.run([program, "man", tmp_path], check=True)
    pages = {path.name for path in tmp_path.iterdir()}
    assert pages >= {f"{name}.1", *(f"{name}-{word}.1" for word in subcommands)}
    # What is not for people has none.
    assert "launcher" not in " ".join(pages) and "reference" not in " ".join(pages)
    first = subprocess.run([program, "man"], check=True, capture_output=True, text=True).stdout
    assert first == (tmp_path / f"{teller}.1").read_text()
    missing = subprocess.run([program, "man", tmp_path / "not-there"], capture_output=True, text=True)
    assert missing.returncode == 1 and "write man pages" in missing.stderr


@pytest.mark.parametrize(("program", "word", "place"), [
    ("cloister-supervisor", "doctor", "cloister doctor"),
    ("cloister-supervisor", "run", "cloister run"),
    ("cloister-supervisor", "learn", "cloister learn"),
    ("cloister-gateway", "keys", "cloister keys"),
    ("cloister", "serve", "cloister-supervisor serve"),
])
def test_what_has_its_place_in_another_program_is_named_with_it(program, word, place):
    told = subprocess.run([binary(program), word, "--policy", "policy.toml"], capture_output=True, text=True)
    assert told.returncode == 2 and f"`{place}`" in told.stderr and told.stdout == "", told
