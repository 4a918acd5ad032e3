"""Runs tests where it stands, in a sandbox or outside, and says what became of each: `main` is called there.

This file is sent as a script, so it imports nothing of the harness.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

COMMANDS = {
    # Verbose, so that what was under way is known of a run that does not end.
    "cpython": lambda name, report, ignored: ["-m", "test", "-v", "-u", RESOURCES, *(["--junit-xml", report] if report else []),
                                              *(option for pattern in ignored for option in ("-i", pattern)), name],
    "numpy": lambda name, report, _: ["-m", "pytest", "-q", "-p", "no:cacheprovider", *(["--junit-xml", report] if report else ["-v"]),
                                   "-o", "junit_family=xunit1", "--pyargs", name],
}
# What costs time, and no more of it than there is; the others need a network, a screen, or much of the host.
RESOURCES = "subprocess,walltime"
OUTCOMES = {"ok": "ok", "ERROR": "error", "FAIL": "failure"}


def main(suite, name, seconds, ignored=()):
    """Run one module of a suite, but for some tests. Returns {"tests": {name: [outcome, why]}, "end": how the run as a whole ended}."""
    report = os.path.join(tempfile.mkdtemp(), "report.xml")
    end, output = run(COMMANDS[suite](name, report, ignored), seconds)
    tests = read(report)
    if suite == "cpython" and not tests and end not in (0, 4, "timeout"):
        # The runner itself fails over its report when what many tests have in common does not work.
        end, output = run(COMMANDS[suite](name, None, ignored), seconds)
        tests = told(output)
    return {"tests": tests, "end": end, "tail": output[-3000:]}


def run(arguments, seconds):
    """How the interpreter ended, and what it printed."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   cwd=tempfile.mkdtemp(), start_new_session=True)
        try:
            end = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            end = "timeout"
        output.seek(0)
        return end, output.read().decode(errors="replace")


def told(output):
    """What a verbose run prints of each test: its name, and on the same line or a later one how it ended."""
    tests, current = {}, None
    for line in output.splitlines():
        begun = re.match(r"\w+ \((test\.[\w.]+)\)", line)
        current = begun[1] if begun else current
        ended = re.search(r"(?:^|\.\.\. )(ok|ERROR|FAIL|skipped .*)$", line)
        if ended and current:
            kind = ended[1]
            tests[current] = ["skipped", kind[len("skipped "):].strip("'\"")] if kind.startswith("skipped") else [OUTCOMES[kind], ""]
            current = None
    return tests


def read(report):
    tests = {}
    if os.path.exists(report) and os.path.getsize(report):
        for case in ElementTree.parse(report).iter("testcase"):
            name = ".".join(filter(None, (case.get("classname"), case.get("name")))).removeprefix(".")
            tests[name] = outcome(case)
    return tests


def outcome(case):
    for kind in ("error", "failure", "skipped"):
        found = case.find(kind)
        if found is not None:
            return [kind, why(found)]
    return ["ok", ""]


def why(found):
    """The exception, and the line of source that raised it: from the attribute, and from the traceback."""
    message = (found.get("message") or (found.text if found.tag == "skipped" else "") or "").strip().splitlines() or [""]
    lines = [line.strip() for line in (found.text or "").splitlines()]
    frames = [number for number, line in enumerate(lines[:-1]) if line.startswith("File \"")]
    return message[0][:300] + (f" at: {lines[frames[-1] + 1][:100]}" if frames else "")
