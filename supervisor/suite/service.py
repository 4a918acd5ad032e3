"""The real daemons, started and stopped for the tests, and what the host shows of them."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

import httpx

import tongue
from client import Client, eventually
from tongue import HOLD, SAY  # noqa: F401, for the tests

REPOSITORY = Path(__file__).resolve().parents[2]
# The policy that those of the tests are made of: with CLOISTER_POLICY another one than the shipped.
POLICY = Path(os.environ.get("CLOISTER_POLICY") or REPOSITORY / "policy/policy.toml")
# The Python that jobs see: with CLOISTER_RUNTIME another one than the shipped policy names, as with `make run`.
SHIPPED_TREE = "/var/lib/cloister/python"
TREE = os.environ.get("CLOISTER_RUNTIME") or SHIPPED_TREE
# For a policy of the tests' own: limits that are run into quickly.
PROFILES = Path(__file__).with_name("profiles.toml").read_text()
GATEWAY_ID = 64510
# Of the shipped policy's ids, from its first on: those of launchers and jobs. The last is that of what serves.
JOBS = 8191
# An installed service that is tested instead of one of the tests' own.
INSTALLED = os.environ.get("CLOISTER_URL")
# Services that the tests have started and not stopped yet.
running = []
# The shipped policy keeps children parked. With CLOISTER_COLD the same tests run against cold starts.
# Another runtime than Python keeps nothing warm.
WARM = not os.environ.get("CLOISTER_COLD") and not os.environ.get("CLOISTER_TONGUE")
CGROUPS = Path("/sys/fs/cgroup")


def binary(name, first=None):
    places = [first, os.environ.get("CLOISTER_BIN"), REPOSITORY / "target/release", REPOSITORY / "target/debug"]
    for place in filter(None, places):
        path = Path(place).resolve() / name
        if path.exists():
            return str(path)
    raise AssertionError(f"{name} is not built; run `make build`")


def shipped_policy(built):
    """The policy that programs came with: that of the tree that they were built in."""
    above = Path(built).resolve().parents if built else []
    return next((tree / "policy/policy.toml" for tree in above if (tree / "policy/policy.toml").exists()), POLICY)


class Service:
    """One supervisor and one gateway, with a policy of their own. `built` is where other programs than the tests' lie."""

    def __init__(self, policy="", supervisor=None, gateway_options=(), warm=WARM, secure=False, under=(), built=None,
                 supervisor_options=None):
        self.built = built
        # Tests that stop a supervisor wait for its jobs, not for its notice; programs of before know none.
        usual = [] if built else ["--drain-notice", "0s"]
        self.supervisor_options = usual if supervisor_options is None else [*supervisor_options]
        self.directory = Path(tempfile.mkdtemp(prefix="cloister-suite-"))
        self.directory.chmod(0o711)
        self.cgroup = f"cloister-{uuid.uuid4().hex[:8]}"
        # Each service has ids of its own, so that its processes can be told from all others.
        self.uid_base = 0x70000000 + int(uuid.uuid4().hex[:4], 16) * 0x4000
        self.socket = self.directory / "supervisor.sock"
        self.policy = self.directory / "policy.toml"
        self.warm = warm
        # What the supervisor is started by, which has to become it.
        self.under = under
        self.write_policy(policy, supervisor or {})
        self.gateway_options = [*gateway_options]
        self.address = f"127.0.0.1:{free_port()}"
        self.trust = self.make_certificate() if secure else None
        self.client = self.new_client()
        self.supervisor = self.gateway = None
        self.logs = {name: open(self.directory / f"{name}.log", "ab") for name in ("supervisor", "gateway")}

    def make_certificate(self):
        """Make the gateway serve TLS; whom its clients then trust."""
        import trustme

        authority = trustme.CA()
        pair = authority.issue_cert("127.0.0.1")
        certificate, key = self.directory / "tls.crt", self.directory / "tls.key"
        pair.cert_chain_pems[0].write_to_path(certificate)
        pair.private_key_pem.write_to_path(key)
        for file in (certificate, key):
            os.chown(file, 0, GATEWAY_ID)
            file.chmod(0o640)
        self.gateway_options += ["--tls-certificate", certificate, "--tls-key", key]
        trust = ssl.create_default_context()
        authority.configure_trust(trust)
        return trust

    def new_client(self, http2=True):
        """A client of this service; with TLS it speaks HTTP/2, unless it is not to."""
        if self.trust is None:
            return Client(f"http://{self.address}")
        return Client(f"https://{self.address}", verify=self.trust, http2=http2)

    def write_policy(self, extra, supervisor):
        text = shipped_policy(self.built).read_text()
        if not self.warm:
            text, count = re.subn(r"(?m)^warm = \{.*\}", "warm = false", text, count=1)
            assert count == 1, "warm"
        for key, value in {"uid_base": self.uid_base, **supervisor}.items():
            text, count = re.subn(rf"(?m)^{key} = \S+", f"{key} = {value}", text, count=1)
            assert count == 1, key
        self.policy.write_text(of_tree(tongue.policy(text) + "\n" + extra))
        self.policy.chmod(0o644)

    def start(self):
        try:
            self.start_supervisor()
            self.start_gateway()
            self.wait_until_ready()
        except BaseException:
            # Who is told that it did not start may have no hold of it. Its logs stay, for the report.
            self.end_daemons()
            raise
        return self

    def start_supervisor(self):
        self.supervisor = self.spawn("supervisor", "serve", "--policy", self.policy, "--socket", self.socket,
                                     "--gateway-uid", GATEWAY_ID, "--cgroup", self.cgroup, *self.supervisor_options)

    def start_gateway(self):
        self.gateway = self.spawn("gateway", "serve", "--listen", self.address, "--socket", self.socket,
                                  "--user", GATEWAY_ID, *self.gateway_options)

    def spawn(self, name, *arguments):
        command = [*(self.under if name == "supervisor" else ()), binary(f"cloister-{name}", self.built), *map(str, arguments)]
        # The mask is that of the packaged units.
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self.logs[name], stdout=self.logs[name], umask=0o077)

    def wait_until_ready(self):
        def ready():
            for name in ("supervisor", "gateway"):
                daemon = getattr(self, name)
                assert daemon.poll() is None, f"the {name} ended: {self.log(name)[-4000:]}"
            try:
                return self.client.http.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        eventually(ready, within=60)

    def stop(self):
        """Stop both as an operator would; both must go without complaint."""
        self.client.http.close()
        codes = self.end_daemons()
        for log in self.logs.values():
            log.close()
        assert not any(codes.values()), {name: (code, self.log(name)[-4000:]) for name, code in codes.items() if code}
        assert not self.cgroup_directories(), "a control group was left behind"
        assert not self.processes(), "a process was left behind"
        assert not Path("/dev/cloister", self.cgroup).exists(), "device nodes were left behind"
        subprocess.run(["rm", "-rf", self.directory], check=True)

    def end_daemons(self):
        """Ask those that run to end, one after the other, and see to it that both do; their exit codes."""
        codes = {}
        for name in ("gateway", "supervisor"):
            daemon = getattr(self, name)
            if daemon is not None and daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
                try:
                    codes[name] = daemon.wait(60)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    codes[name] = daemon.wait()
        return codes

    def log(self, name):
        """All of it: what is looked for, or is to be nowhere, may have been said long before."""
        return (self.directory / f"{name}.log").read_text()

    def cgroup_directories(self):
        """Every directory of this service's control groups, on version 1 and 2 alike."""
        return [Path(path) for path, _, _ in os.walk(CGROUPS) if self.cgroup in Path(path).parts]

    def slot_groups(self, file):
        """A file of every slot's control group."""
        return [path for group in self.cgroup_directories() if (path := group / file).exists() and "slot-" in str(group)]

    def job_processes(self):
        """Host processes that run as a job's id, but for the parked ones that wait for a request."""
        return [pid for pid, uid in host_processes() if self.uid_base < uid < self.uid_base + JOBS and name_of(pid) != "parked"]

    def holding(self):
        """Those of them whose script has said that it runs."""
        return [pid for pid in self.job_processes() if name_of(pid) == "holding"]

    def monitor(self):
        """What stays root beside the supervisor."""
        [monitor] = [pid for pid in children(self.supervisor.pid) if command_of(pid)[1:] == ["monitor"]]
        return monitor

    def id_of(self, process):
        """The host id that a process runs as."""
        return dict(host_processes()).get(process)

    def launcher(self):
        """The process whose end is the end of every sandbox: the first of the ids."""
        return min(self.processes(), key=started)

    def zygotes(self):
        """The warm interpreters that jobs are forked from; none with cold starts."""
        return [pid for pid, uid in host_processes() if uid == self.uid_base and name_of(pid).startswith("python")]

    def stats(self):
        """What the supervisor counts."""
        with self.supervisor_client() as client:
            return client.get("/stats").json()

    def supervisor_client(self):
        """A client of the supervisor, as the gateway is one."""
        return httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), base_url="http://supervisor", timeout=60)

    def parked(self):
        """The children that wait for a request."""
        return [pid for pid in self.processes() if name_of(pid) == "parked"]

    def settle(self, within=60):
        """Wait until no job is left: the launcher alone, or with its zygote and parked children (each with an init), which the supervisor has."""
        parked = lambda: sum(profile["parked"] for profile in self.stats()["profiles"].values())
        rests = lambda: len(self.processes()) == 10 and parked() == 4 if self.warm else len(self.processes()) == 1
        eventually(lambda: rests() and not self.job_processes(), within)

    def processes(self):
        """Host processes of any id of this service: jobs, cells, launchers."""
        return [pid for pid, uid in host_processes() if self.uid_base <= uid < self.uid_base + JOBS]


def of_tree(text):
    """A policy with the tree that these tests run with."""
    return text.replace(f"{SHIPPED_TREE}/", f"{TREE}/")


def own_policy():
    """The shipped policy, with that tree."""
    return of_tree(POLICY.read_text())


def told_of_tree():
    """What that tree says of itself, in its `base.json`."""
    return json.loads((Path(TREE) / "base.json").read_text())


def standard_library():
    """Where the runtime's standard library lies, as a job sees it."""
    text = own_policy()
    host, inside = re.search(r'"(/[^:"]*):(/usr)"', text).groups()
    [directory] = Path(host).glob("lib/python3.*")
    return f"{inside}/{directory.relative_to(host)}"


def started(pid):
    """When a process was started, in ticks of the host: proc_pid_stat(5). Its number says nothing of that, for numbers come again."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:  # it is gone
        return float("inf")


def name_of(pid):
    return read_or_nothing(Path(f"/proc/{pid}/comm")).strip()


def children(pid):
    """The processes that one has started, by whichever of its threads: proc_pid_task(5)."""
    return [int(child) for task in tasks(pid) for child in read_or_nothing(Path(f"/proc/{pid}/task/{task}/children")).split()]


def tasks(pid):
    """The threads of a process by their numbers, its first among them: proc_pid_task(5). None of one that has ended."""
    try:
        return [int(task) for task in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def read_or_nothing(path):
    """A file of proc(5); nothing where what it is about has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


def command_of(pid):
    return read_or_nothing(Path(f"/proc/{pid}/cmdline")).split("\0")[:-1]


def open_descriptors(pid):
    """What the descriptors of a process lead to: proc_pid_fd(5). One that is closed meanwhile leads nowhere."""
    kinds = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            kinds.append(os.readlink(link))
    return kinds


def host_processes():
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "status").read_text()
            except OSError:
                continue
            if "\nState:\tZ" not in status:
                yield int(entry.name), int(re.search(r"(?m)^Uid:\t(\d+)", status)[1])


def is_ending(pid):
    """Whether a process has begun to exit, by PF_EXITING among the flags of its stat, proc_pid_stat(5).

    From then on it is shown in the root group of each hierarchy of version 1 (`proc_cgroup_show` in the kernel's
    kernel/cgroup/cgroup.c), and loses its memory, descriptors and umask one after the other.
    """
    flags = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[6]
    return bool(int(flags) & 4)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
