"""The floor: an interpreter with the same imports that forks, runs the script in the child and reaps it.

No isolation, no HTTP, no limit: what remains is what any service that forks warm interpreters must pay.
Arguments: the modules to import. Standard input: one JSON line for each measurement, {"script", "seconds",
"pause_ms"}; standard output: one JSON line for each, {"times_ms": [...], "seconds"}.
"""

import importlib
import json
import os
import sys
import time


def main():
    for name in sys.argv[1:]:
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        begun, times = time.perf_counter(), []
        while time.perf_counter() - begun < order["seconds"] or not times:
            if order["pause_ms"]:
                time.sleep(order["pause_ms"] / 1000)
            start = time.perf_counter()
            once(order["script"])
            times.append((time.perf_counter() - start) * 1000)
        print(json.dumps({"times_ms": times, "seconds": time.perf_counter() - begun}), flush=True)


def once(script):
    output, theirs = os.pipe()
    result, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(theirs, 1)
        os.close(theirs)
        run(script, report)
    os.close(theirs)
    os.close(report)
    text, answer = drain(output), drain(result)
    os.waitpid(pid, 0)
    json.loads(answer)
    return text


def run(script, report):
    names = {"__name__": "script"}
    exec(compile(script, "script.py", "exec"), names)
    answer = memoryview(json.dumps(names["main"]()).encode())
    # The parent reads what is printed to its end first; a result that fills its pipe must not keep that open.
    sys.stdout.flush()
    os.close(1)
    while answer:
        answer = answer[os.write(report, answer) :]
    os._exit(0)


def drain(fd):
    parts = []
    while part := os.read(fd, 1 << 16):
        parts.append(part)
    os.close(fd)
    return b"".join(parts)


main()
