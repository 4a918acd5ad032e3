"""Scripts as people write them, one a line of JSON, each with what is right for it.

A case is a request (`script`, and as far as it has them `args`, `kwargs`, `stdin`, `files`, `timeout_ms` and so on), an `id`,
`why` it is right in a reader's words, and `expect`, of which each key that is there has to hold:

status       the HTTP status; 200 if it is not said
result       what main() returned, exactly
result_type  the type of it, where the value differs from run to run: "dict", "list", "str", "float", ...
code         the error's code
message      texts that the error's message has, each of them
error_has    texts that the error object has, wherever in it
stdout       what was printed, exactly
stdout_lines the lines that were printed, in any order: each with how often it comes
stdout_has, stderr_has, traceback_has   texts that are in it
not_in_stderr  texts that are not
files        the names of the files that came back, with the text of each, or null where that is not the point
fields       other fields of the answer, exactly
answer_has   texts that the answer has, wherever in it

In place of `stdin` a case may have `stdin_parts`, pairs of a text and how often it comes. Where other versions of Python do otherwise,
`expect_from` has what holds from a version on: {"3.12": {...}}. In what is expected, of the Python under test:

@version@    its version, such as 3.11
@digits@     the same without the point
@site@       where its packages are
"""

import base64
import json
import sys
from collections import Counter
from pathlib import Path

from service import told_of_tree

# Results may be numbers of any length.
sys.set_int_max_str_digits(0)

HERE = Path(__file__).with_name("cases")
NOT_SENT = {"id", "why", "kind", "expect", "expect_from", "stdin_parts"}


def load(name):
    told = told_of_tree()
    return [for_python(json.loads(line), told) for line in (HERE / f"{name}.jsonl").read_text().splitlines()]


def for_python(case, told):
    """A case with what is expected of the Python that tells this of itself."""
    version = parts(told["python"])
    later = {first: expect for first, expect in case.get("expect_from", {}).items() if parts(first) <= version}
    expect = later[max(later, key=parts)] if later else case.get("expect")
    if expect is None:
        return case
    text = json.dumps(expect)
    for name, value in {"version": ".".join(map(str, version)), "digits": "".join(map(str, version)), "site": told["site"]}.items():
        text = text.replace(f"@{name}@", value)
    return {**case, "expect": json.loads(text)}


def parts(version):
    return [int(part) for part in version.split(".")[:2]]


def request_of(case):
    request = {key: value for key, value in case.items() if key not in NOT_SENT}
    if "stdin_parts" in case:
        request["stdin"] = "".join(text * count for text, count in case["stdin_parts"])
    return request


def problems(expect, status, body):
    """What of an answer is not as it has to be."""
    error = body.get("error", {})
    places = {
        "message": error.get("message", ""),
        "error_has": json.dumps(error, ensure_ascii=False),
        "stdout_has": body.get("stdout", ""),
        "stderr_has": body.get("stderr", ""),
        "traceback_has": error.get("traceback", ""),
        "answer_has": json.dumps(body, ensure_ascii=False),
    }
    wrong = []

    def compare(what, wanted, seen):
        if type(wanted) is not type(seen) or wanted != seen:
            wrong.append(f"{what}: wanted {wanted!r}, saw {str(seen)[:500]!r}")

    compare("status", expect.get("status", 200), status)
    for key, wanted in expect.items():
        if key in places:
            wrong += [f"{key}: no {text!r} in {places[key][:1000]!r}" for text in wanted if text not in places[key]]
        elif key == "not_in_stderr":
            wrong += [f"stderr has {text!r}" for text in wanted if text in body.get("stderr", "")]
        elif key == "code":
            compare(key, wanted, error.get("code"))
        elif key == "result_type":
            compare(key, wanted, type(body.get("result")).__name__)
        elif key == "files":
            compare_files(wanted, body.get("files", []), compare)
        elif key == "fields":
            for name, value in wanted.items():
                compare(name, value, body.get(name))
        elif key == "stdout_lines":
            compare(key, wanted, dict(Counter(body.get("stdout", "").splitlines())))
        elif key in ("result", "stdout"):
            compare(key, wanted, body.get(key))
        else:
            assert key == "status", f"a case expects {key}, which nobody looks at"
    return wrong


def compare_files(wanted, seen, compare):
    compare("files", sorted(wanted), sorted(file["name"] for file in seen))
    for file in seen:
        if wanted.get(file["name"]) is not None:
            content = file.get("content")
            if content is None:
                content = base64.b64decode(file.get("content_base64", "")).decode("utf-8", "replace")
            compare(file["name"], wanted[file["name"]], content)
