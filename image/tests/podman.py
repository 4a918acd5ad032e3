"""podman with a place of its own: what it stores, mounts, its control groups and containers go with it, and nothing of the machine changes.

runc, for crun refuses hosts with both versions of control groups, or what CLOISTER_OCI_RUNTIME names; overlays, for without them each
container is a copy; no registry, no network, no log but its own files. Where podman cannot do its work the tests fail with what it says.
"""

import os
import resource
import shutil
import subprocess
import tempfile
import threading
import uuid
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
SECCOMP = Path(__file__).resolve().parents[1] / "seccomp.json"

# The least that the supervisor needs, docs/deploy.md "In a container".
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETPCAP", "SETUID")
RUNTIME = os.environ.get("CLOISTER_OCI_RUNTIME") or "runc"
VERSION_TWO = (CGROUPS / "cgroup.controllers").exists()
APPARMOR = Path("/sys/kernel/security/apparmor/profiles").exists()
# Longer than any start takes, in an emulated machine too.
PATIENCE = 600
LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}


class Podman:
    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="cloister-podman-"))
        self.parent = f"cloister-podman-{uuid.uuid4().hex[:8]}"
        settings = self.directory / "containers.conf"
        # podman asks for more than a machine may allow, and not for less.
        limits = [f'"{name}={limit(kind)}:{limit(kind)}"' for name, kind in LIMITS.items()]
        settings.write_text(f'[containers]\nlog_driver = "k8s-file"\ndefault_ulimits = [{", ".join(limits)}]\n'
                            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' f'runtime = "{RUNTIME}"\n')
        self.environment = {**os.environ, "CONTAINERS_CONF": str(settings)}
        # What it stores is in memory, in a namespace of mounts that is there as long as this process, whatever becomes of that.
        store = self.directory / "store"
        store.mkdir()
        script = 'mount -t tmpfs -o mode=700 cloister "$1" && echo && exec cat'
        hold = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script, "sh", str(store)]
        self.mounts = subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.mounts.stdout.readline(), "no namespace of mounts"
        places = ("--root", "--runroot", "--tmpdir")
        self.command = ["nsenter", f"--mount=/proc/{self.mounts.pid}/ns/mnt", "podman", "--storage-driver", "overlay",
                        *(f"{place}={store / place.strip('-')}" for place in places)]
        self.started = []

    def __call__(self, *arguments, check=True):
        done = subprocess.run([*self.command, *map(str, arguments)], env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        assert not check or done.returncode == 0, f"podman {arguments[0]}: {done.stdout}{done.stderr}"
        return done

    def run(self, image, *arguments, options=(), check=True):
        return self("run", "--rm", *self.here(), *options, image, *arguments, check=check)

    def start(self, name, image, *arguments, options=()):
        self.started.append(name)
        self("run", "--detach", "--name", name, *self.here(), *options, image, *arguments)

    def here(self):
        return ("--pull", "never", "--cgroup-parent", f"/{self.parent}")

    def remove(self):
        """All that were started, those first that use another's."""
        while self.started:
            self("rm", "--force", "--ignore", "--time", "30", self.started.pop())

    def wait_for(self, name, text):
        """Until a container's log says it; a container that ends without it has failed."""
        command = [*self.command, "logs", "--follow", name]
        with subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as log:
            patience = threading.Timer(PATIENCE, log.kill)
            patience.start()
            said = []
            for line in log.stdout:
                said.append(line)
                if text in line:
                    break
            patience.cancel()
            log.kill()
        assert said and text in said[-1], f"{name} never said {text!r}: {''.join(said)}"

    def inside(self, name):
        """The number that its first process has outside."""
        return int(self("inspect", "--format", "{{.State.Pid}}", name).stdout)

    def close(self):
        self.remove()
        for root in (CGROUPS, *CGROUPS.iterdir()):
            for path, _, _ in os.walk(root / self.parent, topdown=False):
                os.rmdir(path)
        self.mounts.communicate()
        shutil.rmtree(self.directory)


def limit(kind):
    """What this process may have of it, and no more than there are numbers of processes, as podman has it for both."""
    _, hard = resource.getrlimit(kind)
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    return most if hard == resource.RLIM_INFINITY else min(hard, most)


def least(without=(), unmask=True, cgroups=True, seccomp=SECCOMP, apparmor=os.environ.get("CLOISTER_APPARMOR") or "unconfined"):
    """The context with the least privilege in which the supervisor runs; or with something of it missing."""
    options = ["--read-only", "--network", "none", "--security-opt", "no-new-privileges", "--security-opt", f"seccomp={seccomp}", "--cap-drop", "ALL"]
    for capability in sorted({*CAPABILITIES} - {*without}):
        options += ["--cap-add", capability]
    if unmask:
        options += ["--security-opt", "unmask=ALL"]
    # On version 2 the container's own is mounted, and may be written to where nothing is masked.
    if cgroups and not VERSION_TWO:
        options += ["--volume", f"{CGROUPS}:{CGROUPS}:rw"]
    if APPARMOR and apparmor:
        options += ["--security-opt", f"apparmor={apparmor}"]
    return options
