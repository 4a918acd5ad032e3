"""A machine of the cluster: programs in namespaces of their own, which are gone with whoever started them."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

INIT = Path(__file__).with_name("init.py")
# What a kubelet sets of the whole machine; and would, if it were not so already.
SHIELDED = {
    "/proc/sys/vm/overcommit_memory": 1,
    "/proc/sys/vm/panic_on_oom": 0,
    "/proc/sys/kernel/panic": 10,
    "/proc/sys/kernel/panic_on_oops": 1,
    "/proc/sys/kernel/keys/root_maxkeys": 1000000,
    "/proc/sys/kernel/keys/root_maxbytes": 25000000,
}


class Machine:
    """One that runs. Its files are in `directory`; `namespace` is that of its network, if it is not this one."""

    def __init__(self, directory, group, binaries, programs, mounts=None, namespace=None):
        self.directory, self.logs = directory, directory / "log"
        self.logs.mkdir(parents=True, exist_ok=True)
        about = directory / "machine.json"
        path = f"{binaries}:{os.environ['PATH']}:/usr/sbin:/sbin"
        about.write_text(json.dumps({
            "programs": {name: [str(word) for word in command] for name, command in programs.items()},
            "mounts": {str(source): place for source, place in (mounts or {}).items()},
            "shielded": SHIELDED, "logs": str(self.logs), "path": path, "group": str(group),
        }))
        self.network = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
        # It dies with this process, and what it started with it, even if this one is killed.
        command = ["setpriv", "--pdeathsig", "KILL", *self.network, "unshare", "--mount", "--propagation", "private", "--pid",
                   "--fork", "--kill-child", sys.executable, "-B", INIT, about]
        with (self.logs / "init.log").open("w") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def first(self):
        """The number of its first process, outside; None before there is one, and when it has ended."""
        with contextlib.suppress(FileNotFoundError):
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            return int(children[0]) if children else None

    def inside(self, *command, **options):
        """Run a program on it."""
        enter = ["nsenter", f"--target={self.first()}", "--mount", "--pid", "--net"]
        return subprocess.run([*enter, *map(str, command)], check=True, capture_output=True, text=True, **options)

    def check(self):
        assert self.process.poll() is None, f"{self.directory.name} ended: {(self.logs / 'init.log').read_text()}"

    def log(self, name, lines=40):
        return "".join((self.logs / f"{name}.log").read_text(errors="replace").splitlines(True)[-lines:])

    def stop(self):
        """As when its power goes; returns when nothing of it runs."""
        self.process.kill() if self.first() is None else os.kill(self.first(), 9)
        self.process.wait()
