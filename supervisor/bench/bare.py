"""A bare interpreter for each job: started, with its imports, and gone. What it costs to keep nothing.

Standard input and output as those of floor.py.
"""

import json
import subprocess
import sys
import time

TELL = "\nimport json\nprint(json.dumps(main()))\n"

print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    begun, times = time.perf_counter(), []
    while time.perf_counter() - begun < order["seconds"] or not times:
        time.sleep(order["pause_ms"] / 1000)
        start = time.perf_counter()
        command = [sys.executable, "-I", "-X", "utf8", "-B", "-c", order["script"] + TELL]
        json.loads(subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout)
        times.append((time.perf_counter() - start) * 1000)
    print(json.dumps({"times_ms": times, "seconds": time.perf_counter() - begun}), flush=True)
