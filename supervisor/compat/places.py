"""The two places in which everything runs: a sandbox of the default profile, and the host, as an ordinary account."""

import json
import os
import shutil
import subprocess
import tempfile

import httpx

from service import Service

NOBODY = 65534
# As much as the sandbox has: there are tests that take all they get.
DATA_OUTSIDE = 3 << 30
# What differs from the default profile is how much there is of everything, and which tree is shown: nothing that
# the kernel is asked to refuse.
PROFILE = """
[runtime.compat]
interpreter = "/usr/bin/python3"
mounts = ["{tree}/usr:/usr"]
links = {{ lib = "usr/lib", lib64 = "usr/lib64", bin = "usr/bin" }}

[profile.compat]
extends = "default"
runtime = "compat"
warm = false
wall_time = "{seconds}s"
cpu_time = "{seconds}s"
memory = "3GiB"
processes = 512
cpus = 2.0
result_bytes = "64MiB"
filesystem = {{ tmp = "1GiB", tmp_inodes = 100000, shm = "512MiB" }}
rlimits = {{ open_files = 1024, file_size = "8GiB" }}
network = "{network}"
"""


class Inside:
    """The sandbox."""

    def __init__(self, tree, seconds, network):
        self.seconds = seconds
        self.service = Service(policy=PROFILE.format(tree=tree, seconds=2 * seconds + 30, network=network), warm=False)

    def start(self):
        self.service.start()

    def stop(self):
        self.service.stop()

    def run(self, script, *arguments):
        """What the script's main() returned, or {"failed": why}."""
        body = {"script": script, "args": arguments, "profile": "compat"}
        answer = httpx.post(f"{self.service.client.url}/execute", json=body, timeout=2 * self.seconds + 120, trust_env=False).json()
        return answer["result"] if "result" in answer else {"failed": answer["error"]}


class Outside:
    """The host, with the same tree over its /usr: no filter, no Landlock, no cgroup; not root.

    The tree there is as a distribution's is: not mounted read-only, but root's, and the interpreter can be read. It has
    namespaces of mounts and of processes, so that what a test leaves running ends with it, and a bound on memory.
    """

    ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    # Enough of the runner of a sandbox: a module called __main__, and JSON.
    RUNNER = "import json, sys; exec(compile(sys.stdin.read(), 'script.py', 'exec'));" \
             "open(sys.argv[1], 'w').write(json.dumps(main(*json.loads(sys.argv[2]))))"
    ENTER = 'mount -t overlay overlay -o "lowerdir=$1:/usr,upperdir=$2/new,workdir=$2/work" /usr && ' \
            'chmod 755 "$(readlink -f /usr/bin/python3)" && shift 2 && exec "$@"'

    def __init__(self, tree, seconds):
        self.tree, self.seconds = tree.resolve(), seconds

    def start(self):
        self.directory = tempfile.mkdtemp(prefix="cloister-compat-")
        os.chmod(self.directory, 0o755)

    def stop(self):
        shutil.rmtree(self.directory)

    def run(self, script, *arguments):
        """As in the sandbox."""
        home, written = (tempfile.mkdtemp(dir=self.directory) for _ in range(2))
        os.chown(home, NOBODY, NOBODY)
        for directory in ("new", "work"):
            os.mkdir(f"{written}/{directory}", 0o755)
        result = f"{home}/result.json"
        account = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]
        command = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
                   "prlimit", f"--data={DATA_OUTSIDE}", "sh", "-c", self.ENTER, "sh", f"{self.tree}/usr", written,
                   *account, "/usr/bin/python3", "-c", self.RUNNER, result, json.dumps(arguments)]
        environment = {**self.ENVIRONMENT, "HOME": home, "TMPDIR": home}
        try:
            ended = subprocess.run(command, cwd=home, env=environment, input=script, text=True, capture_output=True,
                                   timeout=2 * self.seconds + 60)
            if ended.returncode == 0:
                with open(result) as file:
                    return json.load(file)
            return {"failed": {"code": ended.returncode, "message": ended.stderr[-2000:]}}
        except subprocess.TimeoutExpired:
            return {"failed": {"code": "timeout", "message": "did not end"}}
        finally:
            for directory in (home, written):
                shutil.rmtree(directory, ignore_errors=True)
