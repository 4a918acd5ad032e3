"""What could be left behind on the host: seen before the tests, and again after them."""

import os
from dataclasses import dataclass, fields
from pathlib import Path

from client import eventually


@dataclass(frozen=True)
class Host:
    """One look at the host, at what is named after the given services: others may be at work here too."""

    processes: frozenset
    network_namespaces: frozenset
    mounts: frozenset
    control_groups: frozenset
    files: frozenset

    @classmethod
    def now(cls, names):
        named = lambda text: any(name in text for name in names)
        ours = {pid for pid in filter(str.isdigit, os.listdir("/proc")) if named(described(pid))}
        return cls(
            processes=frozenset(ours),
            network_namespaces=frozenset(filter(None, (link(f"/proc/{pid}/ns/net") for pid in ours))) - {link("/proc/self/ns/net")},
            mounts=frozenset(Path("/proc/self/mountinfo").read_text().splitlines()),
            control_groups=frozenset(path for path, _, _ in os.walk("/sys/fs/cgroup") if named(path)),
            files=frozenset(entry.path for place in ("/tmp", "/dev/shm", "/dev/cloister", "/run") if os.path.isdir(place)
                            for entry in os.scandir(place) if named(entry.name)),
        )

    def more_than(self, before):
        """What is here and was not before, by kind."""
        more = {field.name: getattr(self, field.name) - getattr(before, field.name) for field in fields(self)}
        return {kind: sorted(extra) for kind, extra in more.items() if extra}


def check_that_nothing_is_left(before, names):
    left = lambda: Host.now(names).more_than(before)
    try:
        eventually(lambda: not left())
    except AssertionError:
        raise AssertionError(f"left behind: {left()}") from None


def described(pid):
    """A process's control groups and command line, in which a service's name would be."""
    try:
        return Path(f"/proc/{pid}/cgroup").read_text() + Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None
