"""The installed service, as seen from outside over HTTP and from inside as an operator sees it."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import load

UNITS = ("cloister-supervisor.service", "cloister-supervisor.socket", "cloister-gateway.service", "cloister-gateway.socket")
GROUPS = Path("/sys/fs/cgroup")
GROUP = GROUPS / "cloister.slice/cloister-supervisor.service"
# A script says by its process's name that it runs: another process in a slot's group may be one that is still being started.
HOLD = "import ctypes, time\nctypes.CDLL(None).prctl(15, b'holding', 0, 0, 0)\ndef main():\n    time.sleep(600)"


class Service:
    """Cloister in a machine."""

    def __init__(self, machine):
        self.machine, self.url = machine, machine.url

    def apt(self, *arguments):
        """Run apt-get as an operator would, unattended: what was changed in /etc stays."""
        options = ("-q", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "Dpkg::Options::=--force-confold")
        return self.machine.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options, *arguments)

    def open_to_the_outside(self):
        """What the documentation says for a host whose network may be trusted; and jobs get the time that they need here."""
        self.machine.ssh("""
            sed -Ei -e 's/^cpu_time = "10s"/cpu_time = "60s"/' -e 's/^wall_time = "10s"/wall_time = "5min"/' /etc/cloister/policy.toml
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
        eventually(self.is_ready)

    def show(self, name, unit="cloister-supervisor.service"):
        """A property of a unit."""
        return self.machine.run("systemctl", "show", "--value", "-p", name, unit)

    def main_pid(self, unit="cloister-supervisor.service"):
        return int(self.show("MainPID", unit))

    def restart(self):
        """Start the supervisor anew, with the policy as it is now."""
        self.machine.run("systemctl", "restart", "cloister-supervisor.service")
        self.wait_until_ready()

    def restarted(self, earlier, unit="cloister-supervisor.service"):
        """Wait until another process than `earlier` serves."""
        eventually(lambda: self.main_pid(unit) not in (0, earlier))
        self.wait_until_ready()

    def processes(self):
        """The processes of launchers, zygotes and jobs."""
        listed = self.machine.ssh(f"cat {GROUP}/cloister/*/cgroup.procs", check=False).stdout
        return {int(pid) for pid in listed.split() if pid.isdigit()}

    def holders(self):
        """The control groups of the jobs whose script has said that it runs."""
        listed = self.machine.ssh("ps -ww -C holding -o cgroup=", check=False).stdout
        return sorted({GROUPS / line.strip().removeprefix("0::/") for line in listed.splitlines()})

    @contextmanager
    def held(self, count=1):
        """Jobs that run until the block ends, which kills them: their futures, and their control groups."""
        with ThreadPoolExecutor(count) as pool:
            jobs = [pool.submit(self.execute, HOLD) for _ in range(count)]
            try:
                eventually(lambda: len(self.holders()) == count)
                yield jobs, self.holders()
            finally:
                self.machine.ssh("pkill -KILL -x holding", check=False)

    def journal(self, *arguments):
        return self.machine.run("journalctl", "--no-pager", "-q", *arguments)


def eventually(condition, within=900):
    """Wait until a condition holds; the deadline is for a broken service, not for a slow one."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s, still {value!r}"
        time.sleep(0.2)
    return value
