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
        """What the documentation says for a host whose network may be trusted."""
        self.machine.ssh("""
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
        script = f"""
            for group in {GROUP}/cloister/slot-*; do
                for pid in $(cat $group/cgroup.procs); do
                    [ "$(cat /proc/$pid/comm 2>/dev/null)" = parked ] || echo $group
                done
            done | sort -u"""
        return [Path(line) for line in self.machine.ssh(script).stdout.split()]

    def journal(self, *arguments):
        return self.machine.run("journalctl", "--no-pager", "-q", *arguments)


def eventually(condition, within=120):
    """Wait until a condition holds; the deadline is for a broken service, not for a slow one."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s, still {value!r}"
        time.sleep(0.2)
    return value
