"""A base of the tests' own with what it says of itself, a place to make runtimes in, and services that have them."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest

from service import POLICY, TREE, Service, binary, running


class Place:
    """A policy's directory: its file, what its runtimes are to have, and a store."""

    def __init__(self, directory, base, tools, policy=None):
        self.directory, self.base, self.tools = directory, base, tools
        self.wheels = directory / "wheels"
        self.wheels.mkdir()
        self.store = directory / "store"
        self.policy = policy or directory / "policy.toml"
        self.uid_base = 0x60000000 + int(uuid.uuid4().hex[:4], 16) * 0x4000

    def text(self, text, names, more=""):
        """A policy with runtimes of these names, and a profile of each."""
        text = re.sub(r'(?m)^runtimes = \S+', f'runtimes = "{self.store}"', text)
        text = re.sub(r'"[^":]*/usr:/usr"', f'"{self.base}/usr:/usr"', text)
        for name in names:
            text += f'\n[runtime.{name}]\nbase = "python"\npackages = "{name}.txt"\n'
            text += f'[profile.{name}]\nextends = "default"\nruntime = "{name}"\nwarm = false\n'
        return text + more

    def write_policy(self, *names, more=""):
        text = re.sub(r"(?m)^uid_base = \d+", f"uid_base = {self.uid_base}", POLICY.read_text())
        text = re.sub(r"(?m)^warm = \{.*\}", "warm = false", text)
        self.policy.write_text(self.text(text, names, more))
        self.policy.chmod(0o644)

    def want(self, name, *requirements):
        (self.policy.parent / f"{name}.txt").write_text("".join(f"{line}\n" for line in requirements))

    def lock_of(self, name):
        return self.policy.parent / f"{name}.txt.lock"

    def environment(self, **more):
        own = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PATH": f"{self.tools}:{os.environ['PATH']}"}
        return {**os.environ, **own, **more}

    def start(self, *arguments, **more):
        command = [binary("cloister"), "runtime", *map(str, arguments), "--policy", self.policy]
        return subprocess.Popen(command, env=self.environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                umask=0o077)

    def run(self, *arguments, **more):
        """Run a command to its end; what it said."""
        process = self.start(*arguments, **more)
        out, error = process.communicate(timeout=300)
        assert process.returncode == 0, out + error
        return out

    def told(self, *arguments, **more):
        return json.loads(self.run(*arguments, "--json", **more))

    def refused(self, *arguments, **more):
        process = self.start(*arguments, **more)
        out, error = process.communicate(timeout=300)
        assert process.returncode == 1, out + error
        return error

    def builds(self):
        return sorted(path.name for path in self.store.iterdir() if re.fullmatch("[0-9a-f]{32}", path.name))

    def unfinished(self):
        return sorted(path.name for path in self.store.iterdir() if path.name.startswith(".new-"))


@pytest.fixture(scope="session")
def base():
    """The Python that scripts see, with what it says of itself."""
    return Path(TREE)


@pytest.fixture(scope="session")
def tools(base):
    """The installer, fetched once as an operator's first lock does, from where pip is configured to look."""
    with tempfile.TemporaryDirectory(prefix="cloister-tools-") as directory:
        place = Place(Path(directory), base, "")
        place.write_policy("any")
        place.want("any", "six==1.17.0")
        process = subprocess.run([binary("cloister"), "runtime", "lock", "any", "--policy", place.policy], capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        [installed] = (place.store / ".tools").glob("uv-*/bin")
        assert "six==1.17.0" in place.lock_of("any").read_text()
        yield installed


@pytest.fixture()
def place(base, tools):
    """A place of the test's own, where sandboxes can reach it."""
    directory = Path(tempfile.mkdtemp(prefix="cloister-runtimes-"))
    directory.chmod(0o711)
    yield Place(directory, base, tools)
    shutil.rmtree(directory)


@pytest.fixture()
def serve(names, base, tools):
    """Start a service whose policy has runtimes of these names; `prepare` writes, locks and builds what they are to have."""
    own = []

    def start(*runtimes, prepare, more="", warm=False):
        service = Service(warm=warm)
        names.extend([service.cgroup, service.directory.name])
        running.append(service)
        own.append(service)
        place = Place(service.directory, base, tools, service.policy)
        place.uid_base = service.uid_base
        service.policy.write_text(place.text(service.policy.read_text(), runtimes, more))
        prepare(place)
        return service.start(), place

    yield start
    with ExitStack() as stack:
        for service in own:
            running.remove(service)
            stack.callback(service.stop)
