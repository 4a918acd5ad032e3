"""The predecessor's way: a small Flask application that starts a Python with resource limits for each request.

Arguments: the port. It answers POST /execute with main()'s result and what was printed.
"""

import json
import resource
import subprocess
import sys

from flask import Flask, jsonify, request

RUNNER = """
import json, sys
script = sys.stdin.read()
names = {"__name__": "script"}
exec(compile(script, "script.py", "exec"), names)
result = json.dumps(names["main"]())
sys.stdout.flush()
sys.stderr.write(result)
"""

app = Flask(__name__)


def limit():
    resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


@app.post("/execute")
def execute():
    script = request.get_json()["script"]
    command = [sys.executable, "-I", "-c", RUNNER]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=10, preexec_fn=limit)
    if done.returncode != 0:
        return jsonify(error=done.stderr), 422
    return jsonify(result=json.loads(done.stderr), stdout=done.stdout)


@app.get("/readyz")
def ready():
    return jsonify(status="ok")


app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
