"""A host that cannot run sandboxes is told apart: which layer is missing, and what host has it."""

import subprocess

from service import POLICY, binary


def doctor(*within):
    return subprocess.run([*within, binary("cloister-supervisor"), "doctor", "--policy", POLICY], capture_output=True, text=True)


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
