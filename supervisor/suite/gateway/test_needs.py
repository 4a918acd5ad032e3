"""Scripts that say what they need, by metadata (PEP 723) or in their request: they get it where it is, or are told what is missing.

What requirements, versions, markers and metadata mean is Python's own tools' to say: the gateway's cases are held against them.
"""

import json
import re
import signal
import threading

import pytest

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

from packaging.markers import InvalidMarker, Marker, UndefinedComparison
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

import scientific as numeric
from client import eventually
from service import REPOSITORY

CASES = json.loads((REPOSITORY / "gateway/src/needs/cases.json").read_text())
# PEP 723, "Specification".
BLOCK = r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$"


def test_requirements_are_what_python_takes_them_for():
    def name(text):
        try:
            return canonicalize_name(Requirement(text).name)
        except InvalidRequirement:
            return None

    assert [[text, name(text)] for text, _ in CASES["requirements"]] == CASES["requirements"]


def test_versions_are_what_python_takes_them_for():
    def fits(asked, version):
        try:
            return SpecifierSet(asked).contains(version, prereleases=True)
        except InvalidSpecifier:
            return None

    assert [[asked, version, fits(asked, version)] for asked, version, _ in CASES["specifiers"]] == CASES["specifiers"]


def test_markers_are_what_python_takes_them_for():
    def holds(text, python):
        short = re.match(r"\d+\.\d+", python)[0]
        there = {"python_version": short, "python_full_version": python, "implementation_version": python, "implementation_name": "cpython",
                 "platform_python_implementation": "CPython", "os_name": "posix", "sys_platform": "linux", "platform_system": "Linux",
                 "platform_machine": "x86_64", "extra": ""}
        try:
            return Marker(text).evaluate(there)
        except (InvalidMarker, UndefinedComparison):
            return None

    assert [[text, python, holds(text, python)] for text, python, _ in CASES["markers"]] == CASES["markers"]


def test_metadata_is_what_the_reference_takes_it_for():
    def read(script):
        # PEP 723, "Reference Implementation"; a file is read with the ends of lines made one.
        found = [match for match in re.finditer(BLOCK, script.replace("\r\n", "\n")) if match["type"] == "script"]
        if len(found) != 1:
            return "refused" if found else None
        lines = found[0]["content"].splitlines(keepends=True)
        try:
            told = tomllib.loads("".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))
        except tomllib.TOMLDecodeError:
            return "refused"
        return [told.get("dependencies", []), told.get("requires-python")]

    assert [[script, read(script)] for script, _ in CASES["scripts"]] == CASES["scripts"]


@pytest.fixture(scope="module")
def node(start_for_module):
    """A service whose profile `scientific` has more packages than `default`."""
    return start_for_module(policy=numeric.profile(), warm=False)


def bringing(lines, script="def main(): return 1"):
    return "# /// script\n" + "".join(f"# {line}\n" for line in lines.splitlines()) + f"# ///\n{script}\n"


USES_SCIPY = "import scipy\ndef main(): return scipy.__version__\n"


def test_a_script_gets_what_it_needs_where_it_is(node):
    script = bringing('requires-python = ">=3.10"\ndependencies = [\n  "SciPy>=1.9",\n  "pywin32; sys_platform == \'win32\'",\n]', USES_SCIPY)
    answer = node.client.execute(script, headers={"X-Cloister-Explain": "1"})
    assert answer.result and answer.headers["x-cloister-profile"] == "scientific"
    assert "profile=scientific;" in answer.headers["x-cloister-explain"]
    answer = node.client.execute(USES_SCIPY, packages=["scipy"])
    assert answer.result and answer.headers["x-cloister-profile"] == "scientific"
    # The default has this, and so goes before one that has it too.
    assert node.client.execute("import numpy\ndef main(): return 1", packages=["numpy"]).headers["x-cloister-profile"] == "default"
    assert "x-cloister-profile" not in node.client.execute("def main(): return 1").headers
    with node.client.http.stream("POST", "/execute", json={"script": USES_SCIPY, "packages": ["scipy"]}, headers={"Accept": "text/event-stream"}) as streamed:
        assert streamed.headers["x-cloister-profile"] == "scientific" and "event: result" in streamed.read().decode()


def test_what_is_missing_is_told_before_anything_runs(node):
    numpy = node.client.execute("import numpy\ndef main(): return numpy.__version__").result
    answer = node.client.execute(bringing('dependencies = ["numpy>=99", "not-there==1.0"]'), packages=["scipy"])
    assert (answer.status, answer.code, answer.error["ran"], answer.error["nearest"]) == (422, "missing_packages", False, "scientific")
    assert answer.error["missing"] == [{"name": "numpy", "wanted": "numpy>=99", "there": numpy}, {"name": "not-there", "wanted": "not-there==1.0", "there": None}]
    assert f"numpy>=99 ({numpy} is there), not-there==1.0 (not there)" in answer.error["message"] and "`cloister runtime`" in answer.error["message"]
    named = node.client.execute(USES_SCIPY, packages=["scipy"], profile="default")
    assert named.code == "missing_packages" and named.error["nearest"] == "scientific" and "name that, or none" in named.error["message"]
    python = node.client.execute(bringing('requires-python = ">=4"'))
    assert [one["name"] for one in python.error["missing"]] == ["python"]


@pytest.mark.parametrize(("lines", "expected"), [
    ("dependencies = [", "line 1, column"),
    ('dependencies = "scipy"', "expected a sequence"),
    ('dependencies = ["a @ https://example.org/a.whl"]', "nothing is fetched"),
    ("# y = 1\n# ///\n\n# /// script\n# x = 1", "more than one block"),
    ("dependencies = [" + '"numpy>=1",' * 257 + "]", "expected at most 256"),
    ("dependencies = [\n" + '"numpy>=1",\n' * 10_000 + "]", "expected at most 32768"),
    ('dependencies = ["' + "a" * (1 << 20) + '"]', "expected at most 32768"),
    ("x = " + "[" * 10_000 + "]" * 10_000, "max recursion depth"),
    ('dependencies = ["a; ' + "(" * 400 + 'os_name == \'x\'" ]', "nested too deeply"),
    ('dependencies = ["a' + ">=1.," * 100 + '"]', "is no requirement"),
    ('dependencies = ["a>=99999999999999999999!1"]', "is no requirement"),
    ('dependencies = ["ｓcipy"]', "expected the name of a package"),
    ('dependencies = [{"$serde_json::private::RawValue" = "a"}]', "expected a string"),
])
def test_metadata_that_cannot_be_read_is_refused_in_words(node, lines, expected):
    script = f"# /// script\n{lines}\n# ///\n" if lines.startswith("# ") else bringing(lines)
    answer = node.client.execute(script + "\ndef main(): return 1\n")
    assert (answer.status, answer.code, answer.error["ran"]) == (400, "invalid_request", False), answer
    assert answer.error["message"].startswith("script: ") and expected in answer.error["message"] and len(answer.error["message"]) < 1000, answer


@pytest.mark.parametrize("packages", [
    ["numpy" + ",".join([">0"] * 300)] * 16,
    ["numpy; " + " or ".join(["extra == 'x'"] * 60)] * 16,
    ["numpy==1+" + "a." * 100 + "a"] * 64,
    ["numpy=="+ "1." * 100 + "1"] * 64,
    ["numpy>0"] * 256,
])
def test_what_is_made_to_be_slow_keeps_nobody_waiting(node, packages):
    """Requirements at their bounds, from many at once, while others ask for their health."""
    done = threading.Event()
    answers = []

    def flood():
        while not done.is_set():
            answers.append(node.client.http.post("/execute", json={"script": "def main(): return 1", "packages": packages, "profile": "default"}).status_code)

    threads = [threading.Thread(target=flood) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(answers) > 2)
        assert all(node.client.http.get("/healthz").status_code == 200 for _ in range(20))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert set(answers) <= {200, 422, 429}, set(answers)


def test_a_reload_is_known_at_once(node):
    """What was missing is there when the policy is, and what was there is missing when it is not: with no job under the wrong runtime."""
    text = node.policy.read_text()

    def reload(text):
        node.policy.write_text(text)
        before = node.client.http.get("/readyz").json()["policy"]
        node.supervisor.send_signal(signal.SIGHUP)
        eventually(lambda: node.client.http.get("/readyz").json()["policy"] != before, within=120)

    assert node.client.execute(USES_SCIPY, packages=["scipy"]).status == 200
    reload(text[:text.index("[profile.scientific]")])
    assert node.client.execute(USES_SCIPY, packages=["scipy"]).code == "missing_packages"
    reload(text.replace("[profile.scientific]", "[profile.another]"))
    answer = node.client.execute(USES_SCIPY, packages=["scipy"])
    assert answer.result and answer.headers["x-cloister-profile"] == "another"
    reload(text)
    # By what was known a moment ago it would be the other one, which is gone.
    assert node.client.execute(USES_SCIPY, packages=["scipy"]).headers["x-cloister-profile"] == "scientific"
