"""What the kernel says of a session: of the control group that it is in."""


class Group:
    """The control group of the process of a session that has said that it is there (`SAY`)."""

    def __init__(self, service, pid):
        self.directories = [group for group in service.cgroup_directories() if has(group, pid)]
        assert self.directories

    def read(self, file):
        [text] = [path.read_text() for group in self.directories if (path := group / file).exists()] or [None]
        return text

    def is_frozen(self):
        state = self.read("freezer.state")
        return state.strip() == "FROZEN" if state else "frozen 1" in self.read("cgroup.events")

    def cpu(self):
        """Nanoseconds."""
        used = self.read("cpuacct.usage")
        return int(used) if used else 1000 * int(self.read("cpu.stat").split()[1])


def has(group, pid):
    procs = group / "cgroup.procs"
    return procs.exists() and str(pid) in procs.read_text().split()
