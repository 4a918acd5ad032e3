"""README.md, Packages: "Any set of packages, imported and warm": the commands that stand there, as they stand there, on the package.

The machine has no network. It has a package index of its own, and its pip is configured for that, as an operator's is for another.
"""

import json
import re

import pytest

from image import step
from index import REPOSITORY
from machine import LUGGAGE
from service import eventually

POLICY = "/etc/cloister/policy.toml"
PORT = 3141
SCRIPT = "import sys\nahead = 'scipy' in sys.modules\nimport requests, scipy\ndef main(): return scipy.__version__, requests.__version__, ahead"


def block(document, heading, kind):
    """The first piece of code of a kind below a heading."""
    text = (REPOSITORY / document).read_text()
    return re.search(rf"(?ms)^## {heading}\n.*?^```{kind}\n(.*?)^```", text)[1]


@pytest.fixture(scope="module", autouse=True)
def installed(service, machine):
    """The package, and a pip that is configured."""
    service.apt("install", LUGGAGE / "current.deb")
    service.open_to_the_outside()
    service.wait_until_ready()
    machine.run("cp", POLICY, f"{POLICY}.kept")
    machine.run("systemd-run", "--unit=index", "python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", LUGGAGE / "index", PORT)
    machine.run("python3", "-m", "pip", "config", "--global", "set", "global.index-url", f"http://127.0.0.1:{PORT}/")
    yield
    machine.run("systemctl", "stop", "index.service")
    machine.ssh(f"rm /etc/pip.conf /etc/cloister/science.txt* && mv {POLICY}.kept {POLICY}")
    service.restart()


def test_from_a_wish_to_an_answer_in_three_commands(service, machine):
    assert service.execute(SCRIPT)[1]["error"]["reason"] == "missing_module"
    machine.ssh(f"cat >> {POLICY}", input="\n" + block("docs/runtimes.md", "From a wish to an answer", "toml"))
    *prepare, reload = block("README.md", "Packages", "sh").splitlines()
    assert reload.startswith("systemctl reload") and 1 <= len(prepare) <= 2, prepare
    for line in prepare:
        with step(line.partition("  ")[0]):
            print(machine.ssh(line).stdout)
    with service.load(clients=1) as load, step(reload.partition("  ")[0] + ", and the first answer"):
        machine.ssh(reload)
        status, answer = eventually(lambda: served(service))
    assert not load.broken and set(load.answers) == {200}, (load.broken, load.answers)
    named = {package: re.search(rf"{package}-([^-]+)-", machine.run("ls", LUGGAGE / "index" / package))[1] for package in ("scipy", "requests")}
    assert (status, answer["result"]) == (200, [named["scipy"], named["requests"], True])


def served(service):
    """The answer of the profile, once there is one."""
    status, answer = service.execute(SCRIPT, profile="science")
    return status in (200, 422) and (status, answer)


def test_what_is_built_is_listed_with_what_uses_it(machine):
    told = json.loads(machine.run("cloister", "runtime", "list", "--json"))
    [build], [runtime] = told["builds"], told["runtimes"]
    assert runtime["name"] == "science" and runtime["build"] == build["id"]
    # It is in use, and stays.
    machine.run("cloister", "runtime", "gc")
    assert [build["id"] for build in json.loads(machine.run("cloister", "runtime", "list", "--json"))["builds"]] == [build["id"]]
