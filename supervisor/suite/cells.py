"""With CLOISTER_CELLS scripts are run as cells: each in a session of its own, which is closed behind it.

What holds of jobs has to hold of these. A script's `main` is called by the cell, whose value then is the result.
"""

import json
import os

CELLS = bool(os.environ.get("CLOISTER_CELLS"))

# Tests of what jobs alone have, and why cells have it not.
OF_JOBS = {
    "test_engine.py": "what serves is the same for both",
    "test_left_files.py": "cells return no files: those of a session are fetched",
    "test_descriptors_are_four_pipes_and_lead_nowhere": "a session has two pipes more, and no input",
    "test_the_other_ends_are_the_jobs_own_loss": "a session has no input",
    "test_two_jobs_at_once_never_meet": "a session's copy is seen beside it",
    "test_signals_reach_no_process_outside[None]": "a session's copy can be reached",
    "test_nothing_of_a_tmpfs_is_left_for_the_next_job": "cells have no file of their own",
}

# What a request may have that a cell, or the session that it is in, has too.
OF_SESSION, OF_CELL, OF_MAIN = {"profile", "files"}, {"timeout_ms", "tools"}, {"args", "kwargs"}

# What an answer has only if it is a cell's.
GIVEN = ("session", "cell", "text", "data", "display", "restored", "not_kept")

CALL = """

import json as _json
_value = main(*_json.loads({args!r}), **_json.loads({kwargs!r}))
(await _value) if hasattr(type(_value), "__await__") else _value
"""


def run(http, body, headers):
    """The response to a script that is run as a cell, and what is said of it as one; `None` for what no cell can be."""
    if not set(body) <= {"script"} | OF_SESSION | OF_CELL | OF_MAIN or "def main(" not in body["script"]:
        return None
    opened = http.post("/sessions", json={field: body[field] for field in OF_SESSION & set(body)}, headers=headers)
    if opened.status_code != 201:
        return opened
    path = f"/sessions/{opened.json()['session']}"
    call = CALL.format(args=json.dumps(body.get("args", [])), kwargs=json.dumps(body.get("kwargs", {})))
    cell = {"code": body["script"] + call, **{field: body[field] for field in OF_CELL & set(body)}}
    try:
        return http.post(f"{path}/execute", json=cell, headers=headers)
    finally:
        http.delete(path)
