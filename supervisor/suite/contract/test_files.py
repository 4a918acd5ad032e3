"""Files: those that a request brings, and those that a script leaves in out/."""

import base64
import errno
import json
import os
import socket
import struct
import zlib

import pytest

from client import eventually
from service import HOLD

POLICY = """
[profile.narrow]
extends = "default"
warm = false
files_in = 20
files_in_bytes = "128KiB"
files_out = 3
files_out_bytes = "64KiB"
filesystem = { tmp = "80KiB", tmp_inodes = 16 }
rlimits = { file_size = "48KiB" }

[profile.elsewhere]
extends = "default"
runtime = "elsewhere"
warm = false

[profile.nowhere]
extends = "default"
runtime = "nowhere"
warm = false

[profile.data]
extends = "default"
working_directory = "/mnt/data"
warm = false
filesystem = { tmp = "1MiB", tmp_inodes = 64 }

[profile.started]
extends = "data"
working_directory = "/home/user"
warm = { imports = ["json"], parked = 1, children = "started" }

[profile.forked]
extends = "data"
runtime = "workspace"
working_directory = "/mnt/data/deeper"
warm = { imports = ["json"], parked = 1 }

[profile.workspace]
extends = "data"
runtime = "workspace"
working_directory = "/workspace"

[runtime.workspace]
interpreter = "/usr/bin/python3"
mounts = ["/var/lib/cloister/python/usr:/usr"]
links = { lib = "usr/lib", lib64 = "usr/lib64", bin = "usr/bin" }
working_directory = "/srv/x"

[runtime.elsewhere]
interpreter = "/usr/bin/python3"
mounts = ["/var/lib/cloister/python/usr:/usr"]
links = { lib = "usr/lib", lib64 = "usr/lib64", bin = "usr/bin" }
working_directory = "/dev/shm/some/where"

[runtime.nowhere]
interpreter = "/usr/bin/python3"
mounts = ["/var/lib/cloister/python/usr:/usr"]
links = { lib = "usr/lib", lib64 = "usr/lib64", bin = "usr/bin" }
working_directory = "/usr/lib"
"""

# Everything below the working directory but the script itself: directories as null, files as text.
TREE = """
import os
def main():
    tree = {}
    for place, directories, files in os.walk("."):
        for name in directories: tree[os.path.join(place, name)[2:]] = None
        for name in files:
            if os.path.join(place, name) != './script.py': tree[os.path.join(place, name)[2:]] = open(os.path.join(place, name), encoding="latin-1", newline="").read()
    return tree
"""


@pytest.fixture(scope="module")
def tuned(start_for_module):
    return start_for_module(policy=POLICY)


def encoded(content):
    return base64.b64encode(content).decode()


def contents(answer):
    """What was returned, by name; each says of itself what is true."""
    files = {}
    for file in answer.files:
        assert "omitted" not in file and set(file) - {"path"} == {"name", "size", "media_type", "content_base64"}, file
        assert file.get("path", file["name"]) == file["name"]
        files[file["name"]] = base64.b64decode(file["content_base64"], validate=True)
        assert file["size"] == len(files[file["name"]])
    assert len(files) == len(answer.files)
    return files


def test_files_are_there_before_the_script_starts(execute):
    every_byte = bytes(range(256)) * 1000
    files = [{"path": "a.txt", "content": "é\r\n\0end"}, {"path": "data/deep/b", "content_base64": encoded(every_byte)},
             {"path": "data/empty", "content": ""}, {"path": "name with\nbreak", "content": "x"}]
    tree = execute("import os\nbefore = sorted(set(os.listdir()) - {'script.py'})\n" + TREE.replace("tree = {}", "tree = {'before': before}"), files=files).result
    assert tree == {
        "before": ["a.txt", "data", "name with\nbreak", "out"], "out": None, "a.txt": "é\r\n\0end".encode().decode("latin-1"),
        "data": None, "data/deep": None, "data/deep/b": every_byte.decode("latin-1"), "data/empty": "", "name with\nbreak": "x",
    }


def test_without_files_there_is_an_empty_out_and_nothing_else(execute):
    for fields in ({}, {"files": []}):
        answer = execute(TREE, **fields)
        assert answer.result == {"out": None} and "files" not in answer.body


def test_files_are_the_scripts_own(execute):
    def script():
        import os

        def main():
            seen = [os.stat(path) for path in ("d", "d/f", "out")]
            os.rename("d/f", "d/g")
            os.remove("d/g")
            os.rmdir("d")
            return [[oct(stat.st_mode), stat.st_uid] for stat in seen] + [os.getuid(), sorted(os.listdir())]

    directory, file, out, user, left = execute(script, files=[{"path": "d/f", "content": "x"}]).result
    assert (directory, file, out) == (["0o40700", user], ["0o100600", user], ["0o40700", user]) and left == ["out", "script.py"]


def test_files_and_standard_input_do_not_mix(execute):
    script = "import sys\ndef main():\n    return [open('f').read(), sys.stdin.read()]"
    assert execute(script, files=[{"path": "f", "content": "file" * 50_000}], stdin="input" * 50_000).result == ["file" * 50_000, "input" * 50_000]


def test_a_script_that_does_not_compile_is_told_whatever_its_files(execute):
    assert execute("def main(:", files=[{"path": "f", "content": "x" * 1_000_000}]).code == "syntax_error"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ('null', "files is null, expected an array"),
        ('{"a": "b"}', "files is an object, expected an array"),
        ('["a"]', "files[0] is a string, expected an object"),
        ('[{"content": "x"}]', "files[0].path is missing"),
        ('[{"path": "a", "content": "x"}, {"path": 1, "content": "x"}]', "files[1].path is the number 1, expected a string"),
        ('[{"path": "a"}]', "files[0] has no content"),
        ('[{"path": "a", "content": "x", "content_base64": "eA=="}]', "files[0] has both"),
        ('[{"path": "a", "content": 1}]', "files[0].content is the number 1"),
        ('[{"path": "a", "content_base64": "eA"}]', "files[0].content_base64 is not base64"),
        ('[{"path": "a", "content_base64": "e A="}]', "files[0].content_base64 is not base64"),
        ('[{"path": "a", "content": "x", "mode": 7}]', "files[0]: unknown field `mode`"),
        ('[{"path": "a", "path": "b", "content": "x"}]', "files[0]: duplicate field `path`"),
        ('[{"path": "a", "content": "\\ud800"}]', "files[0].content is not valid Unicode"),
        ('[{"path": "a", "content": "x"}, {"path": "b/a", "content": "x"}, {"path": "a", "content": "y"}]', "files[2].path"),
        ('[{"path": "a/b", "content": "x"}, {"path": "a", "content": "y"}]', "files[0].path"),
        *((json.dumps([{"path": path, "content": "x"}]), "files[0].path") for path in
          ["", "/etc/x", "/", "..", "../x", "a/../../x", "a/..", ".", "./x", "a//b", "a/", "a\0b", "out", "out/x", "n" * 256, "d/" * 17 + "f", "n/" * 600]),
    ],
)
def test_a_mistake_is_a_400_that_names_the_field(client, files, expected):
    answer = client.post('{"script": "def main(): return 1", "files": ' + files + "}")
    assert (answer.status, answer.code) == (400, "invalid_request"), answer
    assert answer.error["message"].startswith(expected), answer


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([("f", 49 << 10)], "files[0] is 50176 bytes, a file of profile"),
        ([("f", 1), ("g", 130 << 10)], "files are 133121 bytes together, profile"),
        ([(str(number), 0) for number in range(21)], "files are 21, profile"),
        # In pages: each of the last three takes one that it does not fill.
        ([("f", 36 << 10), ("g", 36 << 10), ("h", 1), ("i", 1), ("j", 1)], "files take 86016 bytes, /tmp of profile"),
        ([(f"d{number}/f", 0) for number in range(8)], "files need 18 files and directories, /tmp of profile"),
    ],
)
def test_files_that_do_not_fit_are_a_413_that_says_why(tuned, files, expected):
    files = [{"path": path, "content": "x" * size} for path, size in files]
    answer = tuned.client.execute("def main(): return 1", files=files, profile="narrow")
    assert (answer.status, answer.code) == (413, "too_large"), answer
    assert answer.error["message"].startswith(expected) and '"narrow"' in answer.error["message"], answer


def test_files_that_just_fit_are_there(tuned):
    files = [{"path": name, "content": "x" * size} for name, size in (("f", 36 << 10), ("g", 36 << 10), ("h", 1), ("i", 1))]
    assert len(tuned.client.execute(TREE, files=files, profile="narrow").result) == 5
    files = [{"path": f"d{number}/f", "content": ""} for number in range(7)]
    assert len(tuned.client.execute(TREE, files=files, profile="narrow").result) == 15


def test_a_body_above_the_gateways_bound_is_a_413(client):
    answer = client.execute("def main(): return 1", files=[{"path": "f", "content": "x" * (9 << 20)}])
    assert (answer.status, answer.code) == (413, "too_large")


def test_as_many_and_as_large_as_a_request_may_bring(execute):
    files = [{"path": f"d/{number}", "content_base64": encoded(bytes([number]) * 20_000)} for number in range(256)]
    script = "def main():\n    return [open(f'd/{number}', 'rb').read() == bytes([number]) * 20_000 for number in range(256)]"
    assert execute(script, files=files).result == [True] * 256


def test_a_working_directory_of_the_runtimes_own(tuned):
    run = lambda profile, script: tuned.client.execute(script, profile=profile, files=[{"path": "d/f", "content": "x"}])
    script = "import os\nopen('out/o', 'w').write('y')\n" + TREE
    answer = run("elsewhere", script)
    assert answer.result == {"d": None, "d/f": "x", "out": None, "out/o": "y"} and contents(answer) == {"o": b"y"}
    # One that cannot be written to is no place for them.
    answer = run("nowhere", "import os\nos.chdir('/tmp')\n" + script)
    assert answer.result == {"d": None, "d/f": "x", "out": None, "out/o": "y"} and contents(answer) == {"o": b"y"}


def png():
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")


def test_a_picture_comes_back(execute):
    answer = execute(f"def main():\n    open('out/plot.png', 'wb').write({png()!r})\n    return 'drawn'")
    assert answer.result == "drawn" and answer.body["truncated"] == []
    assert answer.files == [{"name": "plot.png", "size": len(png()), "media_type": "image/png", "content_base64": encoded(png())}]


def test_files_come_back_in_the_order_of_their_names(execute):
    def script():
        import os

        def main():
            os.makedirs("out/b/c")
            os.makedirs("out/empty/too")
            for name in ("z.csv", "b/c/report.pdf", "b/a.json", "a.unheard-of", "none", "é \n\"quoted\".TXT", "b.svg"):
                with open("out/" + name, "w") as file:
                    file.write(name)

    answer = execute(script)
    names = ["a.unheard-of", "b/a.json", "b/c/report.pdf", "b.svg", "none", "z.csv", "é \n\"quoted\".TXT"]
    assert contents(answer) == {name: name.encode() for name in names}
    assert [(file["name"], file["media_type"]) for file in answer.files] == list(zip(names, [
        "application/octet-stream", "application/json", "application/pdf", "image/svg+xml", "application/octet-stream", "text/csv", "text/plain"]))


def test_empty_files_and_every_byte_come_back(execute):
    answer = execute("def main():\n    open('out/e', 'w')\n    open('out/b', 'wb').write(bytes(range(256)) * 20000)")
    assert contents(answer) == {"b": bytes(range(256)) * 20_000, "e": b""}


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("exception", "raise ValueError"),
        ("exit", "os._exit(3)"),
        ("killed", "os.kill(os.getpid(), 9)"),
        ("timeout", "while True: pass"),
        ("memory_limit", "x = [bytearray(1 << 20) for _ in range(4096)]"),
        ("result_not_json", "return object()"),
    ],
)
def test_what_was_written_before_a_failure_comes_back(execute, code, ending):
    script = f"import os\ndef main():\n    with open('out/kept.txt', 'w') as file: file.write('kept')\n    {ending}"
    answer = execute(script, **{"timeout_ms": 5000} if code == "timeout" else {})
    assert (answer.status, answer.code) == (422, code), answer
    assert contents(answer) == {"kept.txt": b"kept"} and answer.body["truncated"] == []


def test_what_children_wrote_comes_back(execute):
    def script():
        import os
        import time

        def main():
            read, write = os.pipe()
            if os.fork() == 0:
                os.setsid()
                with open("out/child", "w") as file:
                    file.write("written")
                    file.flush()
                    os.write(write, b"x")
                    time.sleep(600)
            os.read(read, 1)

    assert contents(execute(script)) == {"child": b"written"}


def test_out_may_be_anything_but_a_way_out(execute):
    gone = execute("import os\ndef main(): os.rmdir('out')")
    assert gone.status == 200 and "files" not in gone.body and gone.body["truncated"] == []
    anew = execute("import os\ndef main():\n    os.rename('out', 'old')\n    os.mkdir('out')\n    open('out/f', 'w').write('x')")
    assert contents(anew) == {"f": b"x"}
    file = execute("import os\ndef main():\n    os.rmdir('out')\n    open('out', 'w').write('x')")
    assert file.status == 200 and "files" not in file.body and file.body["truncated"] == ["files"]


def test_beyond_the_limits_files_are_named_and_the_answer_says_so(tuned):
    write = "def main(sizes):\n    for name, size in sizes.items(): open('out/' + name, 'wb').write(b'x' * size)"
    run = lambda **sizes: tuned.client.execute(write, args=[sizes], profile="narrow")
    answer = run(a=1, b=2, c=3, d=4, e=5)
    assert answer.status == 200 and answer.body["truncated"] == ["files"]
    assert [(file["name"], file["size"], "content_base64" in file) for file in answer.files] == [
        ("a", 1, True), ("b", 2, True), ("c", 3, True), ("d", 4, False), ("e", 5, False)]
    assert answer.files[3]["omitted"] == "more than 3 files are not returned"
    # What comes after one that is too large may still fit.
    answer = run(a=40 << 10, b=(24 << 10) + 1, c=8)
    assert answer.body["truncated"] == ["files"]
    assert [(file["name"], file.get("omitted")) for file in answer.files] == [
        ("a", None), ("b", "files of more than 65536 bytes together are not returned"), ("c", None)]
    assert contents(run(a=40 << 10, b=24 << 10))["b"] == b"x" * (24 << 10)


def test_files_take_their_place_beside_what_was_printed(tuned):
    answer = tuned.client.execute("def main():\n    print('x' * (2 << 20))\n    for n in range(4): open(f'out/{n}', 'w')", profile="narrow")
    assert answer.body["truncated"] == ["stdout", "files"] and len(answer.files) == 4


# In a working directory: files by their paths, with directories as needed. What is in each is its path.
WRITE = """
import os
def main(paths, working_directory="."):
    for path in paths:
        path = os.path.join(working_directory, path)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w") as file: file.write(path)
"""


def left(answer):
    """What was left and not asked for, by its path."""
    assert all(set(file) == {"path", "size"} for file in answer.body.get("files_left", []))
    return {file["path"]: file["size"] for file in answer.body.get("files_left", [])}


def test_what_is_left_beside_out_is_named(execute):
    answer = execute(WRITE, args=[["report.csv", "d/e/f.txt", "out/kept", "d/.hidden", ".cache/x", "__pycache__/m.pyc", "outer"]])
    assert contents(answer) == {"kept": b"./out/kept"} and answer.body["truncated"] == []
    assert left(answer) == {"report.csv": 12, "outer": 7, "d/e/f.txt": 11} and "files_left_more" not in answer.body
    # Files stand before the directories beside them.
    assert list(left(answer)) == ["outer", "report.csv", "d/e/f.txt"]


def test_where_nothing_is_left_nothing_is_said(execute):
    beside = {"files_left", "files_left_more", "files_missing", "files"}
    for script in ("def main(): return 1", "import os\ndef main():\n    open('f', 'w')\n    os.remove('f')",
                   "import tempfile\ndef main():\n    tempfile.TemporaryFile().write(b'x')", "def main(): raise ValueError"):
        assert not beside & set(execute(script).body), script


@pytest.mark.parametrize("ending", ["raise ValueError", "os._exit(3)", "while True: pass"])
def test_it_is_told_whatever_became_of_the_job(execute, ending):
    script = f"import os\ndef main():\n    with open('f', 'w') as file: file.write('left')\n    with open('g', 'w') as file: file.write('asked')\n    {ending}"
    answer = execute(script, files_out=["g", "h"], **{"timeout_ms": 2000} if "while" in ending else {})
    assert answer.status == 422 and contents(answer) == {"g": b"asked"} and left(answer) == {"f": 4}
    assert answer.body["files_missing"] == ["h"]


@pytest.mark.parametrize("count", [1, 20])
def test_what_a_request_brought_is_told_only_if_it_changed(execute, count):
    files = [{"path": f"d/{number}.csv", "content": "abc"} for number in range(count)]
    run = lambda do: execute(f"import os\ndef main():\n    {do}", files=files)
    assert left(run("return open('d/0.csv').read()")) == {}
    assert left(run("open('d/0.csv', 'w').write('xyz')")) == {"d/0.csv": 3}
    assert left(run("open('d/0.csv', 'a').write('x')")) == {"d/0.csv": 4}
    assert left(run("os.rename('d/0.csv', 'moved')")) == {"moved": 3}
    assert left(run("os.remove('d/0.csv')\n    open('d/new', 'w')")) == {"d/new": 0}


def test_many_that_are_left_are_counted(execute):
    answer = execute(WRITE, args=[[f"many/{number:03}" for number in range(200)] + ["z.csv", "n" * 250 + "/" + "n" * 250]])
    told = left(answer)
    assert len(told) == 32 and list(told)[0] == "z.csv" and answer.body["files_left_more"] == 200 + 2 - 32
    assert answer.body["truncated"] == []


TREE_OF_FILES = ["a.csv", "b.csv", "c.txt", "[x]", "plots/1.png", "plots/2.png", "plots/deep/3.png", "plots/.hidden", "results/r.csv", "results/.h/x", ".env"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["a.csv"], ["a.csv"]),
        (["*.csv"], ["a.csv", "b.csv"]),
        (["?.csv", "c.*"], ["a.csv", "b.csv", "c.txt"]),
        (["[ac].*"], ["a.csv", "c.txt"]),
        (["[!a].csv"], ["b.csv"]),
        (["[[]x[]]"], ["[x]"]),
        (["[x]"], ["[x]"][:0]),
        (["plots/*.png"], ["plots/1.png", "plots/2.png"]),
        (["plots"], ["plots/.hidden", "plots/1.png", "plots/2.png", "plots/deep/3.png"]),
        (["plots/"], ["plots/.hidden", "plots/1.png", "plots/2.png", "plots/deep/3.png"]),
        (["plots/**"], ["plots/1.png", "plots/2.png", "plots/deep/3.png"]),
        (["**/*.png"], ["plots/1.png", "plots/2.png", "plots/deep/3.png"]),
        (["**/*.csv"], ["a.csv", "b.csv", "results/r.csv"]),
        (["**/deep/*", "**/r.csv"], ["plots/deep/3.png", "results/r.csv"]),
        (["**"], sorted(name for name in TREE_OF_FILES if "." not in (name[0], name.split("/")[-1][0]) and "/." not in name)),
        ([".env", "results/.h"], [".env", "results/.h/x"]),
        (["*/*"], ["plots/1.png", "plots/2.png", "plots/deep/3.png", "results/r.csv"]),
        (["a.csv", "a.csv", "*.csv"], ["a.csv", "b.csv"]),
    ],
)
def test_what_is_asked_for_comes_back(execute, patterns, expected):
    answer = execute(WRITE, args=[TREE_OF_FILES], files_out=patterns)
    found = contents(answer)
    assert sorted(found) == sorted(expected) and all(content.decode() == "./" + name for name, content in found.items())
    assert all(file["path"] == file["name"] for file in answer.files) and answer.body["truncated"] == []
    assert answer.body.get("files_missing", []) == ([] if expected else patterns)
    told = {name for name in TREE_OF_FILES if not any(part.startswith(".") for part in name.split("/"))} - set(expected)
    assert set(left(answer)) == told


def test_out_comes_first_and_once(execute):
    answer = execute(WRITE, args=[["report.csv", "out/report.csv", "out/d/x"]], files_out=["report.csv", "out/*.csv", "out", "**", "out/none"])
    assert [(file["name"], file.get("path"), base64.b64decode(file["content_base64"])) for file in answer.files] == [
        ("d/x", None, b"./out/d/x"), ("report.csv", None, b"./out/report.csv"), ("report.csv", "report.csv", b"./report.csv")]
    assert answer.body["files_missing"] == ["out/none"] and left(answer) == {}


def test_what_a_request_brought_comes_back_only_by_its_name(execute):
    files = [{"path": "in/a.csv", "content": "a"}, {"path": "in/b.csv", "content": "b"}]
    run = lambda *patterns: execute("def main(): open('in/b.csv', 'w').write('changed')", files=files, files_out=patterns)
    for patterns in (("in/*.csv",), ("**",), ("in",)):
        assert contents(run(*patterns)) == {"in/b.csv": b"changed"}
    assert contents(run("in/a.csv")) == {"in/a.csv": b"a"}
    assert "files_missing" not in run("in/a.csv", "*/a.csv").body


def test_the_limits_are_those_of_out(tuned):
    write = "def main(sizes):\n    for name, size in sizes.items(): open(name, 'wb').write(b'x' * size)"
    run = lambda sizes: tuned.client.execute(write, args=[sizes], files_out=["b", "*"], profile="narrow")
    answer = run({"out/a": 1, "b": 2, "c": 3, "d": 4})
    assert answer.body["truncated"] == ["files"] and left(answer) == {}
    assert [(file["name"], file.get("omitted")) for file in answer.files] == [
        ("a", None), ("b", None), ("c", None), ("d", "more than 3 files are not returned")]
    answer = run({"out/a": 30 << 10, "b": 40 << 10})
    assert [(file["name"], file.get("omitted")) for file in answer.files] == [
        ("a", None), ("b", "files of more than 65536 bytes together are not returned")]


@pytest.mark.parametrize(
    ("files_out", "expected"),
    [
        ("null", "files_out is null, expected an array of paths"),
        ('"a"', "files_out is a string, expected an array of paths"),
        ("[1]", "files_out[0] is the number 1, expected a string"),
        ('["a", null]', "files_out[1] is null, expected a string"),
        (json.dumps(["a"] * 33), "files_out has more than the 32 items"),
        *((json.dumps([path]), "files_out[0] ") for path in
          ["", "/", "/etc/passwd", "/tmp/a", "..", "../x", "a/../b", "a/..", ".", "./x", "a//b", "a\0b", "n" * 256, "d/" * 17 + "f", "n/" * 600, "*" * 65, "a" * 64 + "?"]),
    ],
)
def test_a_mistake_in_what_is_asked_for_is_a_400(client, files_out, expected):
    answer = client.post('{"script": "def main(): return 1", "files_out": ' + files_out + "}")
    assert (answer.status, answer.code) == (400, "invalid_request"), answer
    assert answer.error["message"].startswith(expected), answer


def test_a_stream_ends_with_all_of_it(client):
    request = {"script": WRITE, "args": [["a.csv", "b.txt"]], "files_out": ["*.csv", "c"]}
    response = client.http.post("/execute", json=request, headers={"Accept": "text/event-stream"})
    event, data = response.text.rstrip("\n").split("\n\n")[-1].split("\n")
    body = json.loads(data.removeprefix("data: "))
    assert event == "event: result" and [file["path"] for file in body["files"]] == ["a.csv"] and body["files_missing"] == ["c"]
    assert [file["path"] for file in body["files_left"]] == ["b.txt"]


@pytest.mark.parametrize(("profile", "directory"), [("data", "/mnt/data"), ("started", "/home/user"), ("forked", "/mnt/data/deeper"), ("workspace", "/workspace")])
def test_a_working_directory_under_a_name_that_others_expect(tuned, profile, directory):
    def script():
        import os
        import shutil
        import tempfile

        def main(directory):
            given = sorted(os.listdir())
            with open(directory + "/report.csv", "w") as file:
                file.write("report")
            with open("out/kept", "w") as file:
                file.write("kept")
            with tempfile.NamedTemporaryFile("w", delete=False) as file:
                file.write("moved")
            try:
                os.rename(file.name, "renamed")
            except OSError as error:
                renamed = error.errno
            shutil.move(file.name, directory + "/moved.txt")
            open("/tmp/other", "w").close()
            return [os.getcwd(), given, open("d/in").read(), renamed, os.listdir("/tmp"), os.path.dirname(file.name)]

    run = lambda: tuned.client.execute(script, args=[directory], files=[{"path": "d/in", "content": "x"}], files_out=["*.csv"], profile=profile)
    for answer in (run(), run()):
        [cwd, given, read, renamed, temporary, where] = answer.result
        assert (cwd, read, renamed, temporary, where) == (directory, "x", errno.EXDEV, ["other"], "/tmp") and {"d", "out"} <= set(given)
        assert {file["name"]: file.get("path") for file in answer.files} == {"kept": None, "report.csv": "report.csv"}
        assert left(answer) == {"moved.txt": 5}


def test_a_working_directory_shares_the_bounds_of_tmp(tuned):
    def script():
        import os

        def fill(path, size):
            try:
                with open(path, "wb") as file:
                    file.write(bytes(size))
                return None
            except OSError as error:
                return error.errno

        def main():
            found = [fill("/tmp/a", 700 << 10), fill("b", 700 << 10)]
            os.remove("/tmp/a")
            os.remove("b")
            found += [fill("b", 700 << 10)]
            os.remove("b")
            for number in range(64):
                if fill(f"/tmp/{number}" if number % 2 else str(number), 0):
                    break
            mounts = [os.statvfs(path) for path in (".", "/tmp")]
            return found + [40 < number < 64, mounts[0].f_blocks == mounts[1].f_blocks, os.stat(".").st_dev == os.stat("/tmp").st_dev]

    assert tuned.client.execute(script, profile="data").result == [None, errno.ENOSPC, None, True, True, True]
    files = [{"path": "f", "content": "x" * (1 << 20)}]
    assert tuned.client.execute("def main(): pass", files=files, profile="data").status == 200
    answer = tuned.client.execute("def main(): pass", files=[*files, {"path": "g", "content": "x"}], profile="data")
    assert (answer.status, answer.code) == (413, "too_large") and "/mnt/data of profile" in answer.error["message"]


@pytest.mark.layer("tmpfs", "slot")
def test_memory_of_files_is_not_the_next_jobs_burden(start_service):
    service = start_service(supervisor={"slots": 1})
    leave = "def main(n):\n    for name in ('out/a', 'out/b', 'c'): open(name, 'wb').write(b'x' * (n << 20))"
    for _ in range(4):
        # Some of it is returned, and all of it is gone when the slot is another's.
        assert len(service.client.execute(leave, args=[20]).files) == 2
        assert len(service.client.execute(leave, args=[2]).files) == 2
        answer = service.client.execute("def main(): return len(bytes(1) * (400 << 20))")
        assert answer.result == 400 << 20 and "files" not in answer.body
    service.settle()
    charged = [int(path.read_text()) for name in ("memory.usage_in_bytes", "memory.current") for path in service.slot_groups(name)]
    # A parked child has some; the files would be 60.
    assert charged and max(charged) < 32 << 20, charged


def test_a_client_that_leaves_takes_its_files_with_it(start_service):
    service = start_service(supervisor={"slots": 1})
    descriptors = lambda: len(os.listdir(f"/proc/{service.supervisor.pid}/fd"))
    holding = HOLD.replace("    time.sleep", "    open('out/f', 'wb').write(b'x' * (40 << 20))\n    time.sleep")
    body = json.dumps({"script": holding, "args": [600]}).encode()
    head = f"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    host, port = service.address.split(":")
    before = 0
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(head + body)
            eventually(service.holding, within=60)
        service.settle()
        eventually(lambda: not before or descriptors() <= before)
        before = before or descriptors()
    assert service.client.execute("def main(): return len(bytes(1) * (400 << 20))").result == 400 << 20
