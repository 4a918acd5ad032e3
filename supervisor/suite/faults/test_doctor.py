"""A host that cannot run sandboxes is told apart: which layer is missing, and what host has it."""

import subprocess
import sys
import tempfile

from service import binary, own_policy


def doctor(*within):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as policy:
        policy.write(own_policy())
        policy.flush()
        return subprocess.run([*within, binary("cloister"), "doctor", "--policy", policy.name], capture_output=True, text=True)


def test_in_a_user_namespace_of_few_ids_the_ids_are_missing(names):
    told = doctor("unshare", "--user", "--map-root-user")
    assert told.returncode == 1
    [row] = [line for line in told.stdout.splitlines() if line.startswith("FAIL  host ids")]
    assert "unprivileged container" in row and "virtual machine" in row


def test_user_namespaces_that_are_forbidden_are_named_with_the_command_that_allows_them(names):
    # The setting belongs to the user namespace in which it is made, so the host keeps its own.
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    told = doctor("unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh")
    assert told.returncode == 1
    [row] = [line for line in told.stdout.splitlines() if line.startswith("FAIL  user namespaces")]
    assert "sysctl user.max_user_namespaces=" in row


# A filter as container runtimes have it: clone3(2) is said not to exist. Installed by a process that becomes its arguments.
WITHOUT_CLONE3 = """
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 435), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)]
filter = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(filter)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_containers_filter_is_told_from_a_host_without_the_layer(names):
    told = doctor(sys.executable, "-c", WITHOUT_CLONE3)
    assert told.returncode == 1
    [row] = [line for line in told.stdout.splitlines() if line.startswith("FAIL")]
    assert "clone3 the launcher" in row and "container" in row and "virtual machine" in row
