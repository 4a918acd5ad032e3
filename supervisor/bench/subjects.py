"""What is measured: each subject can be started, asked once, loaded by a number of clients, and stopped.

A load is so many seconds of clients that ask again when they are answered, after a pause in milliseconds if there is one.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "suite"))

from client import eventually  # noqa: E402
from service import Service, children, free_port, told_of_tree  # noqa: E402

TREE = Path(os.environ.get("CLOISTER_RUNTIME") or "/var/lib/cloister/python")
IMPORTS = ("numpy", "pandas")
# One thread each, as a zygote's own imports have it.
SINGLE = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")}


PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9)


class Sample:
    """What one measurement saw: how many requests in how many seconds, and their latencies as percentiles."""

    def __init__(self, requests, failed, seconds, percentiles):
        self.requests, self.failed, self.seconds = requests, failed, seconds
        self.percentiles = dict(percentiles)

    @classmethod
    def of(cls, times, seconds):
        """From single latencies, in milliseconds."""
        times = sorted(times)
        at = lambda percentile: times[min(len(times) - 1, int(len(times) * percentile / 100))]
        return cls(len(times), 0, seconds, [(percentile, at(percentile)) for percentile in PERCENTILES])

    @property
    def p50(self):
        return self.percentiles[50]

    @property
    def rate(self):
        """Answers a second."""
        return (self.requests - self.failed) / self.seconds


def timed(kept, body, pause):
    """Asks on a connection that is kept, after so many milliseconds: how many it took, the answer, and its text."""
    time.sleep(pause / 1000)
    begun = time.perf_counter()
    kept.request("POST", "/execute", body, {"Content-Type": "application/json"})
    answer = kept.getresponse()
    text = answer.read()
    taken = (time.perf_counter() - begun) * 1000
    assert answer.status == 200, text
    return taken, answer, text


class Http:
    """A subject that answers POST /execute; wrk is the client, with connections that it keeps."""

    def load(self, script, clients, seconds, pause=0):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as body:
            json.dump({"script": script}, body)
            body.flush()
            command = ["wrk", "--connections", clients, "--threads", min(clients, 2), "--duration", f"{seconds}s", "--timeout", "120s",
                       "--script", HERE / "post.lua", f"{self.url}/execute", "--", body.name, pause]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"bench: wrk: {done.stderr or done.stdout}")
        return Sample(**self.read(done.stdout))

    @staticmethod
    def read(printed):
        said = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))
        said["percentiles"] = said.pop("percentiles_ms")
        return said

    def ask(self, script):
        answer = httpx.post(f"{self.url}/execute", json={"script": script}, timeout=120, trust_env=False)
        return answer.json().get("result", answer.text)


class Cloister(Http):
    """Both daemons with the shipped policy, but for queues in which nobody is turned away and time for all."""

    def __init__(self, name, warm, policy="", gateway_options=(), built=None, **supervisor):
        self.name = name
        supervisor = {"queue_wait": '"120s"', "queue": 1024, "wall_time": '"120s"', **supervisor}
        # Programs from before the supervisor owned the places wait in the gateway, too.
        before = ("--queue-wait", "120s") if built else ()
        self.service = Service(policy, supervisor, (*before, *gateway_options), warm=warm, built=built)
        self.url = self.service.client.url

    def start(self):
        self.service.start()

    def stop(self):
        self.service.stop()


class Root:
    """The sandboxes' Python tree as a root directory of its own, for the subjects that do not isolate; with other packages, if need be."""

    def __init__(self, packages=None):
        self.packages = packages
        self.path = Path(tempfile.mkdtemp(prefix="cloister-bench-"))
        for name in ("usr", "dev", "tmp", "proc", "app"):
            (self.path / name).mkdir()
        for name in ("lib", "lib64", "bin"):
            (self.path / name).symlink_to(f"usr/{name}")
        for program in ("floor.py", "predecessor.py", "bare.py"):
            shutil.copy(HERE / program, self.path / "app")

    def python(self, program, *arguments, **options):
        """Start a program in it; the mounts are in a namespace of the process and end with it."""
        over = f'mount --bind "{self.packages}" "$2{told_of_tree()["site"]}" && ' if self.packages else ""
        script = ('mount --bind "$1/usr" "$2/usr" && ' + over + 'mount --bind /dev "$2/dev" && mount -t proc proc "$2/proc" && '
                  'root=$2 && shift 2 && exec chroot "$root" /usr/bin/python3 "$@"')
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", TREE, self.path, f"/app/{program}", *arguments]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp", **SINGLE}
        return subprocess.Popen(list(map(str, command)), env=environment, text=True, **options)

    def begin(self, program, *arguments):
        """Start one that takes orders, and wait until it does."""
        process = self.python(program, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout.readline() == "ready\n"
        return process

    def remove(self):
        shutil.rmtree(self.path)


class Floor:
    """Bare forks of a warm interpreter; `clients` of them are spread over two processes, one a core."""

    name = "floor"

    def start(self):
        self.root = Root()
        self.forkers = [self.root.begin("floor.py", *IMPORTS) for _ in range(2)]

    def load(self, script, clients, seconds, pause=0):
        forkers = self.forkers[: min(clients, 2)]
        for forker in forkers:
            forker.stdin.write(json.dumps({"script": script, "seconds": seconds, "pause_ms": pause}) + "\n")
            forker.stdin.flush()
        said = [json.loads(forker.stdout.readline()) for forker in forkers]
        times = [one for part in said for one in part["times_ms"]]
        return Sample.of(times, max(part["seconds"] for part in said))

    def ask(self, script):
        """Not over HTTP; that it answers at all is checked by the program itself."""
        return None

    def stop(self):
        for forker in self.forkers:
            forker.stdin.close()
            forker.wait()
        self.root.remove()


class Predecessor(Http):
    """A Flask application that starts a Python with resource limits for each request."""

    name = "predecessor"

    def start(self):
        self.root = Root()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = self.root.python("predecessor.py", port, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def ready():
            assert self.process.poll() is None, "the predecessor ended"
            try:
                return httpx.get(f"{self.url}/readyz", trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        eventually(ready, within=60)

    def load(self, script, clients, seconds, pause=0):
        sample = super().load(script, clients, seconds, pause)
        # What it still works on for clients that are gone is not to be the next subject's load.
        eventually(lambda: not children(self.process.pid), within=120)
        return sample

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.root.remove()


class Nsjail:
    """An nsjail for each request with a comparable configuration, one after another: no server around it."""

    name = "nsjail"

    def start(self):
        self.root = Root()

    def load(self, script, clients, seconds, pause=0):
        command = [shutil.which("nsjail"), "-Mo", "-Q", "--user", "99999", "--group", "99999", "--hostname", "cloister", "--iface_no_lo",
                   "--time_limit", "10", "--rlimit_as", "4096", "--rlimit_nofile", "256", "--rlimit_fsize", "64",
                   "--bindmount_ro", f"{TREE}/usr:/usr", "--symlink", "usr/lib:/lib", "--symlink", "usr/lib64:/lib64",
                   "--tmpfsmount", "/tmp", "--cwd", "/tmp", "--env", "LANG=C.UTF-8", "--seccomp_string", "DEFAULT ALLOW",
                   "--", "/usr/bin/python3", "-I", "-B", "-c", f"{script}\nimport json; print(json.dumps(main()))"]
        begun, times = time.perf_counter(), []
        while time.perf_counter() - begun < seconds or not times:
            time.sleep(pause / 1000)
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times.append((time.perf_counter() - start) * 1000)
        return Sample.of(times, time.perf_counter() - begun)

    def ask(self, script):
        return None

    def stop(self):
        self.root.remove()
