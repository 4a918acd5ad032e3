"""The JSON Schema, by validators of others: it accepts what `cloister policy check` accepts and refuses what an
editor should underline, and editors' TOML tools find it by the line on top of the file."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
POLICY = HERE.parent / "policy.toml"
SCHEMA = HERE.parent / "policy.schema.json"


def program(name):
    places = [os.environ.get("CLOISTER_BIN"), HERE.parents[1] / "target/release", HERE.parents[1] / "target/debug"]
    found = [path for place in filter(None, places) if (path := Path(place).resolve() / name).exists()]
    assert found, f"{name} is not built; run `make build`"
    return str(found[0])


@pytest.fixture(scope="module")
def validator():
    printed = subprocess.run([program("cloister"), "policy", "schema"], capture_output=True, text=True, check=True).stdout
    schema = json.loads(printed)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def wrong(validator, text):
    """The places of a TOML text that the schema refuses."""
    return [list(error.path) for error in validator.iter_errors(tomllib.loads(text))]


def changed(old, new):
    text = POLICY.read_text()
    assert old in text
    return text.replace(old, new, 1)


def accepted(path):
    return subprocess.run([program("cloister"), "policy", "check", "--file-only", path], capture_output=True).returncode == 0


def test_the_shipped_policy_is_valid(validator):
    assert wrong(validator, POLICY.read_text()) == []
    assert json.loads(SCHEMA.read_text()) == validator.schema


def test_what_a_valid_policy_may_hold_is_valid(validator, tmp_path):
    text = POLICY.read_text() + """
[profile.other]
extends = "default"
warm = false
swap = "1GiB"
cpus = 0.5
network = "loopback"
may_lower = []
wall_time = "1h 30m"
[profile.other.filesystem]
read_only = ["/srv/models:/models", "/srv/more", "-/models"]
allow_dangerous = ["/root"]
[profile.other.rlimits]
address_space = "4GiB"
processes = 9
[profile.other.seccomp]
allow = ["-fork", "mq_open", "-@sockets", "@sockets"]
rules = [
  { call = "ptrace", action = "kill" },
  "-ptrace",
  { call = "socket", when = ["int0 == 2", "arg1 & 0xf == 1"], action = "errno", errno = "EAFNOSUPPORT" },
]
[profile.other.landlock]
rules = [{ path = "/tmp", access = ["read", "list", "write"] }, "-/tmp", { path = "/dev/shm", access = [] }]
"""
    assert wrong(validator, text) == []
    policy = tmp_path / "policy.toml"
    policy.write_text(text)
    policy.chmod(0o644)
    assert accepted(policy)


@pytest.mark.parametrize("old, new, place", [
    ("slots = 32", "slots = 5000", ["supervisor", "slots"]),
    ("slots = 32", "slot = 32", ["supervisor"]),
    ("version = 1", "version = 2", ["version"]),
    ('memory = "512MiB"', "memory = 512", ["profile", "default", "memory"]),
    ('memory = "512MiB"', 'memory = "512"', ["profile", "default", "memory"]),
    ('wall_time = "10s"', 'wall_time = "10"', ["profile", "default", "wall_time"]),
    ("cpus = 1.0", "cpus = 0", ["profile", "default", "cpus"]),
    ('network = "none"', 'network = "host"', ["profile", "default", "network"]),
    ("parked = 4", "parkd = 4", ["profile", "default", "warm"]),
    ("tmp_inodes = 4096", "tmp_inode = 4096", ["profile", "default", "filesystem"]),
    ('core = "0B" ', "core = 0 ", ["profile", "default", "rlimits", "core"]),
    ('allow = ["@python"]', 'allow = ["@pyhton"]', ["profile", "default", "seccomp", "allow", 0]),
    ('allow = ["@python"]', 'allow = ["ptrace"]', ["profile", "default", "seccomp", "allow", 0]),
    ("rules = []\n\n", 'rules = [{ call = "kill", action = "deny" }]\n\n', ["profile", "default", "seccomp", "rules", 0]),
    ("rules = []\n\n", 'rules = [{ call = "kill", when = ["arg9 == 1"], action = "kill" }]\n\n', ["profile", "default", "seccomp", "rules", 0]),
    ('interpreter = "/usr/bin/python3"', "", ["runtime", "python"]),
    ("[profile.default]", "[profile.defaults]", ["profile"]),
])
def test_a_mistake_is_found_at_its_place(validator, tmp_path, old, new, place):
    text = changed(old, new)
    # Tables below a renamed one bring it into being again, so all are renamed.
    text = text.replace("[profile.default.", "[profile.defaults.") if new == "[profile.defaults]" else text
    assert place in wrong(validator, text)
    policy = tmp_path / "policy.toml"
    policy.write_text(text)
    policy.chmod(0o644)
    assert not accepted(policy)


def test_every_key_is_explained_where_an_editor_hovers(validator):
    def keys(schema):
        for name, inner in schema.get("properties", {}).items():
            yield name, inner
            yield from keys(inner)
        for inner in schema.get("anyOf", []):
            yield from keys(inner)

    for table in ("supervisor", "runtime", "profile"):
        schema = validator.schema["properties"][table]
        for name, inner in keys(schema.get("additionalProperties") or schema):
            tables = inner.get("type") == "object" and "properties" in inner
            assert tables or inner.get("description"), name


def lint(path):
    return subprocess.run([str(Path(sys.executable).parent / "taplo"), "lint", path.name], cwd=path.parent, capture_output=True, text=True)


def test_editors_tools_find_the_schema_by_the_line_on_top(tmp_path):
    for file in (POLICY, SCHEMA):
        shutil.copy(file, tmp_path)
    policy = tmp_path / "policy.toml"
    assert lint(policy).returncode == 0
    policy.write_text(changed("slots = 32", "slots = 5000"))
    refused = lint(policy)
    assert refused.returncode != 0 and "5000" in refused.stderr and "4096" in refused.stderr
