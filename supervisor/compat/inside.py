"""Runs tests where it stands, in a sandbox or outside, and says what became of each: `main` is called there.

This file is sent as a script, so it imports nothing of the harness.
"""

import os
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

COMMANDS = {
    # Verbose, so that what was under way is known of a run that does not end.
    "cpython": lambda name, report: ["-m", "test", "-v", "--junit-xml", report, name],
    "numpy": lambda name, report: ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml", report,
                                   "-o", "junit_family=xunit1", "--pyargs", name],
}


def main(suite, name, seconds):
    """Run one module of a suite. Returns {"tests": {name: [outcome, why]}, "end": how the run as a whole ended}."""
    scratch = tempfile.mkdtemp()
    os.chdir(scratch)
    report = os.path.join(scratch, "report.xml")
    command = [sys.executable, *COMMANDS[suite](name, report)]
    with open(os.path.join(scratch, "output"), "w+b") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        try:
            end = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            end = "timeout"
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - 3000))
        tail = output.read().decode(errors="replace")
    return {"tests": read(report), "end": end, "tail": tail}


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
