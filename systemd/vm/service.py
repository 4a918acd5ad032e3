"""The installed service, as seen from outside over HTTP and from inside as an operator sees it."""

import time
from pathlib import Path

import load

UNITS = ("cloister-supervisor.service", "cloister-supervisor.socket", "cloister-gateway.service", "cloister-gateway.socket")
GROUP = "/sys/fs/cgroup/cloister.slice/cloister-supervisor.service"


class Service:
    """Cloister in a machine."""

    def __init__(self, machine):
        self.machine, self.url = machine, machine.url

    def apt(self, *arguments):
        """Run apt-get as an operator would, unattended."""
        return self.machine.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", *arguments)

    def open_to_the_outside(self):
        """What the documentation says for a host whose network may be trusted; and jobs get six times the time here."""
        self.machine.ssh("""
            sed -Ei 's/^(wall_time|cpu_time) = "10s"/\\1 = "60s"/' /etc/cloister/policy.toml
            systemctl restart cloister-supervisor.service
            mkdir -p /etc/systemd/system/cloister-gateway.socket.d
            printf '[Socket]\\nListenStream=\\nListenStream=8080\\n' > /etc/systemd/system/cloister-gateway.socket.d/listen.conf
            echo GATEWAY_OPTIONS=--no-auth > /etc/cloister/gateway.env
            systemctl daemon-reload
            systemctl stop cloister-gateway.service cloister-gateway.socket
            systemctl start cloister-gateway.socket cloister-gateway.service""")

    def execute(self, script, **fields):
        return load.execute(self.url, script, **fields)

    def load(self, **options):
        return load.Load(self.url, **options)

    def is_ready(self):
        try:
            return load.get(self.url, "/readyz")[0] == 200
        except OSError:
            return False

    def wait_until_ready(self):
        eventually(self.is_ready, within=300)

    def show(self, name, unit="cloister-supervisor.service"):
        """A property of a unit."""
        return self.machine.run("systemctl", "show", "--value", "-p", name, unit)

    def main_pid(self, unit="cloister-supervisor.service"):
        return int(self.show("MainPID", unit))

    def restarted(self, earlier, unit="cloister-supervisor.service"):
        """Wait until another process than `earlier` serves."""
        eventually(lambda: self.main_pid(unit) not in (0, earlier), within=300)
        self.wait_until_ready()

    def processes(self):
        """The processes of launchers, zygotes and jobs."""
        listed = self.machine.ssh(f"cat {GROUP}/cloister/*/cgroup.procs", check=False).stdout
        return {int(pid) for pid in listed.split() if pid.isdigit()}

    def busy_groups(self):
        """The control groups of slots that run a job: a parked child has another name."""
        seen = self.machine.ssh(f"grep -H . {GROUP}/cloister/slot-*/cgroup.procs; echo; ps -eo pid=,comm=", check=False).stdout
        groups, _, processes = seen.partition("\n\n")
        parked = {line.split()[0] for line in processes.splitlines() if line.split()[1:] == ["parked"]}
        members = [line.rsplit("/cgroup.procs:", 1) for line in groups.splitlines() if "/cgroup.procs:" in line]
        return sorted({Path(group) for group, pid in members if pid not in parked})

    def journal(self, *arguments):
        return self.machine.run("journalctl", "--no-pager", "-q", *arguments)


def eventually(condition, within=120):
    """Wait until a condition holds; the deadline is for a broken service, not for a slow one."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s, still {value!r}"
        time.sleep(0.2)
    return value
