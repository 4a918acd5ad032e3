"""What a script leaves in out/ for the supervisor to find: nothing there leads it astray, stops it or wears it out."""

import base64
import os
import uuid
from collections import Counter
from pathlib import Path

import pytest

from client import eventually
from service import open_descriptors

POLICY = """
[profile.vast]
extends = "default"
warm = false
wall_time = "60s"
cpu_time = "60s"
filesystem = { tmp = "256MiB", tmp_inodes = 100000 }
rlimits = { file_size = "2TiB" }
"""


@pytest.fixture(scope="module")
def vast(start_for_module):
    service = start_for_module(policy=POLICY)
    return lambda script, **fields: service.client.execute(script, profile="vast", **fields)


@pytest.fixture
def secret():
    """A file of the host's that anyone may read, and what is in it."""
    path = Path(f"/tmp/cloister-secret-{uuid.uuid4().hex}")
    path.write_text(uuid.uuid4().hex)
    path.chmod(0o644)
    yield path
    path.unlink()


def returned(answer):
    return {file["name"]: base64.b64decode(file["content_base64"]) for file in answer.files if "content_base64" in file}


def omitted(answer):
    return {file["name"]: file["omitted"] for file in answer.files if "omitted" in file}


def test_links_are_named_and_not_followed(execute, secret):
    script = f"""
import os
def main():
    os.mkdir("out/d")
    open("inside", "w").write("inside")
    for number, target in enumerate(["{secret}", "/etc/passwd", "/proc/self/root/etc/passwd", "/proc/1/root{secret}", "../../../../../..{secret}", "..{secret}",
                                     "../inside", "/tmp/inside", "{secret.parent}", "/", "..", ".", "d", "itself", "no such thing"]):
        os.symlink(target, f"out/{{number:02}}")
        os.symlink(target, f"out/d/{{number:02}}")
    os.symlink("itself", "out/itself")
    os.symlink("/proc/self/fd/3", "out/descriptor")
"""
    answer = execute(script)
    assert answer.status == 200 and answer.body["truncated"] == ["files"] and returned(answer) == {}
    assert set(omitted(answer).values()) == {"it is not a regular file"} and len(omitted(answer)) == 32
    assert secret.read_text() not in str(answer.body) and "root:" not in str(answer.body)


@pytest.mark.parametrize("target", ["HOST", "/", "/etc", "/proc/self/root/etc", "/tmp", "other", "../../../..HOST", "/proc/1/root/tmp", "."])
def test_out_itself_as_a_link_leads_nowhere(execute, secret, target):
    target = target.replace("HOST", str(secret.parent))
    answer = execute(f"import os\ndef main():\n    os.mkdir('other')\n    open('other/f', 'w').write('x')\n    os.rmdir('out')\n    os.symlink({target!r}, 'out')")
    assert answer.status == 200 and answer.files == [] and answer.body["truncated"] == ["files"]


@pytest.mark.layer("seccomp", "capabilities")
def test_pipes_sockets_and_devices_are_named_and_not_opened(attempt_without):
    attack = """
    import socket, stat
    def main():
        socket.socket(socket.AF_UNIX).bind("out/socket")
        open("out/regular", "w").write("x")
        return [attempt(os.mknod, "out/device", kind | 0o666, os.makedev(1, 5)) for kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO)]
    """
    # No layer alone keeps a job from all of them; a pipe that nobody writes to would keep whoever opens it waiting.
    for layers, result in (((), ["EPERM"] * 3), (("seccomp", "landlock"), ["EPERM", "EPERM", "None"])):
        answer = attempt_without(attack, *layers)
        assert answer["result"] == result and answer["truncated"] == ["files"]
        files = {file["name"]: file.get("omitted") for file in answer["files"]}
        assert files.pop("regular") is None and set(files.values()) == {"it is not a regular file"}
        assert set(files) == ({"socket", "device"} if layers else {"socket"})


def test_hard_links_are_files_like_any_other_and_none_leads_out(execute):
    def script():
        import os

        def main():
            open("inside", "w").write("inside")
            os.link("inside", "out/one")
            os.link("inside", "out/other")
            refused = []
            for path in ("/usr/bin/python3", "/proc/self/environ", "/dev/null"):
                try:
                    os.link(path, "out/foreign")
                except OSError as error:
                    refused.append(error.errno)
            return len(refused)

    answer = execute(script)
    assert answer.result == 3 and returned(answer) == {"one": b"inside", "other": b"inside"}


def test_modes_keep_nothing_from_the_answer(execute):
    def script():
        import os

        def main():
            os.mkdir("out/d")
            for name in ("d/f", "f"):
                open("out/" + name, "w").write(name)
                os.chmod("out/" + name, 0)
            os.chmod("out/f", 0o6000)
            os.chmod("out/d", 0)
            os.chmod("out", 0)
            os.chmod(".", 0)

    assert returned(execute(script)) == {"d/f": b"d/f", "f": b"f"}


def test_names_of_every_kind(execute):
    def script():
        import os

        def main():
            names = [bytes([byte]) for byte in range(1, 256) if byte not in (46, 47)] + [b"n" * 255, b"...", "\u202e\ufffe".encode(), b'"\\', b"\xc0\xaf", b"\xed\xa0\x80"]
            for name in names[:61]:
                open(b"out/" + name, "w").close()
            os.mkdir(b"out/d")
            for name in names[61:]:
                open(b"out/d/" + name, "w").close()
            os.mkdir(b"out/\xff\xff")
            open(b"out/\xff\xff/inside", "w").close()
            return len(names)

    answer = execute(script)
    assert answer.status == 200 and answer.body["truncated"] == ["files"]
    names = set(returned(answer))
    assert len(names) == 64 and {chr(byte) for byte in range(1, 46)} <= names
    # All that are left out have no room among those that are named.
    assert len(omitted(answer)) == 64


def test_a_name_that_is_no_text_is_told_as_far_as_it_goes(execute):
    answer = execute("def main():\n    open(b'out/caf\\xe9.txt', 'w').write('x')\n    open('out/é', 'w').write('y')")
    assert returned(answer) == {"é": b"y"} and omitted(answer) == {"caf\ufffd.txt": "its name is not UTF-8"}
    assert answer.body["truncated"] == ["files"]


def test_sparse_giants_are_named_and_not_read(vast):
    answer = vast("import os\ndef main():\n    for size in (40, 24, 22):\n        open(f'out/{size}', 'w')\n        os.truncate(f'out/{size}', 1 << size)")
    assert [(file["name"], file["size"]) for file in answer.files] == [("22", 1 << 22), ("24", 1 << 24), ("40", 1 << 40)]
    assert returned(answer) == {"22": bytes(1 << 22)} and len(omitted(answer)) == 2


def test_directories_without_end(vast):
    def script():
        import os

        def main():
            os.chdir("out")
            for number in range(3000):
                if number in (3, 15, 16, 17, 2999):
                    open("f", "w").close()
                os.mkdir("d")
                os.chdir("d")

    answer = vast(script)
    assert answer.status == 200 and answer.body["truncated"] == ["files"]
    assert set(returned(answer)) == {"d/" * depth + "f" for depth in (3, 15, 16)}


def test_names_without_end(vast):
    answer = vast("def main():\n    for number in range(20_000): open(f'out/{number:05}', 'w').close()")
    assert answer.status == 200 and answer.body["truncated"] == ["files"]
    assert len(returned(answer)) == 64 and len(omitted(answer)) == 64


def test_a_tree_without_end(vast):
    def script():
        import os

        def main():
            for one in range(200):
                for other in range(100):
                    os.makedirs(f"out/{one}/{other}")
            for name in ("0/0/first", "99/99/last", "z"):
                open("out/" + name, "w").close()

    # Into the last by their names nobody looks any more.
    answer = vast(script)
    assert answer.status == 200 and answer.body["truncated"] == ["files"] and set(returned(answer)) == {"0/0/first", "z"}


def test_whoever_goes_on_writing_is_dead_before_anything_is_read(execute, secret):
    script = f"""
import os, time
def main():
    ready, tell = os.pipe()
    open("out/file", "w").write("plain")
    for child in range(4):
        if os.fork() == 0:
            os.setsid()
            os.write(tell, b"x")
            while True:
                for target in ("{secret}", "/etc/passwd"):
                    try:
                        os.symlink(target, f"link{{child}}")
                        os.rename(f"link{{child}}", "out/file")
                        open(f"plain{{child}}", "w").write("plain")
                        os.rename(f"plain{{child}}", "out/file")
                    except OSError:
                        pass
    for child in range(4):
        os.read(ready, 1)
    time.sleep(0.02)
"""
    for _ in range(10):
        answer = execute(script)
        assert answer.status == 200 and [file["name"] for file in answer.files] == ["file"]
        assert set(returned(answer).values()) <= {b"plain", b""} and set(omitted(answer).values()) <= {"it is not a regular file"}
        assert secret.read_text() not in str(answer.body)


def left(answer):
    return {file["path"]: file["size"] for file in answer.body.get("files_left", [])}


EVERYTHING = ["**", "*", "**/*", ".*", "d", "link", "link/passwd", "link/**", "up/**", "file"]


def test_what_is_asked_for_is_not_followed(execute, secret):
    script = f"""
import os, socket
def main():
    os.mkdir("d")
    for number, target in enumerate(["{secret}", "/etc/passwd", "/proc/self/root/etc/passwd", "../../..{secret}", "d", "itself"]):
        os.symlink(target, f"{{number:02}}")
        os.symlink(target, f"d/{{number:02}}")
    os.symlink("/etc", "link")
    os.symlink("{secret.parent}", "up")
    os.symlink("/", "d/root")
    os.symlink("itself", "itself")
    socket.socket(socket.AF_UNIX).bind("socket")
    open("file", "w").write("x")
"""
    answer = execute(script, files_out=[*EVERYTHING, f"up/{secret.name}", "d/root/etc/passwd"])
    assert answer.status == 200 and answer.body["truncated"] == ["files"] and returned(answer) == {"file": b"x"} and left(answer) == {}
    assert set(omitted(answer).values()) == {"it is not a regular file"} and len(omitted(answer)) == 17
    assert answer.body["files_missing"] == [".*", "link/passwd", "link/**", "up/**", f"up/{secret.name}", "d/root/etc/passwd"]
    assert secret.read_text() not in str(answer.body) and "root:" not in str(answer.body)


@pytest.mark.parametrize("target", ["HOST", "/", "/etc", "/proc/self/root/etc", "/dev/shm", "..", "."])
@pytest.mark.parametrize("replaced", ["d", "d/e"])
def test_a_directory_that_became_a_link_leads_nowhere(execute, secret, target, replaced):
    target = target.replace("HOST", str(secret.parent))
    script = f"import os\ndef main():\n    os.makedirs('d/e')\n    os.removedirs('d/e') if {replaced!r} == 'd' else os.rmdir('d/e')\n    os.symlink({target!r}, {replaced!r})"
    answer = execute(script, files_out=["d/e/f", "d/*/*", "d/**", f"d/{secret.name}", f"d/e/{secret.name}", "d/passwd", "d/e/passwd"])
    assert answer.status == 200 and returned(answer) == {} and left(answer) == {}
    assert secret.read_text() not in str(answer.body)


def test_files_of_a_request_that_became_links_are_not_looked_at_elsewhere(execute, secret):
    # Of the same size as what is behind the link.
    files = [{"path": "d/f", "content": secret.read_text()}]
    for change in (f"os.remove('d/f')\n    os.symlink('{secret}', 'd/f')",
                   f"os.remove('d/f')\n    os.rmdir('d')\n    os.symlink('{secret.parent}', 'd')"):
        answer = execute(f"import os\ndef main():\n    {change}", files=files, files_out=["d/f"])
        assert answer.status == 200 and returned(answer) == {} and left(answer) == {}


def test_names_of_every_kind_are_left_or_asked_for(execute):
    script = """
import os
def main():
    os.mkdir(b"\\xff\\xff")
    for name in (b"caf\\xe9.txt", b"\\xff\\xff/x", "new\\nline", "quote\\"", "\u202e"):
        open(name, "w").close()
"""
    answer = execute(script)
    assert set(left(answer)) == {"caf\ufffd.txt", "\ufffd\ufffd/x", "new\nline", "quote\"", "\u202e"}
    answer = execute(script, files_out=["**"])
    assert set(returned(answer)) == {"new\nline", "quote\"", "\u202e"} and omitted(answer) == {"caf\ufffd.txt": "its name is not UTF-8"}
    assert set(left(answer)) == {"\ufffd\ufffd/x"}


@pytest.mark.parametrize("pattern", ["*" * 64, "*a" * 32, "*[!b]" * 12 + "b", "?*" * 31 + "b", "**/" * 16 + "*", "**/*a*a*a*b/**/x"])
def test_no_pattern_wears_the_supervisor_out(vast, pattern):
    def script():
        import os

        def main():
            for directory in ("", "d/", "d/d/"):
                os.makedirs(directory or ".", exist_ok=True)
                for number in range(5000):
                    open(directory + "a" * 250 + f"{number:05}", "w").close()

    answer = vast(script, files_out=[pattern] * 32)
    assert answer.status == 200 and answer.body["files_left_more"] > 1000 and len(answer.files) <= 128


def test_what_patterns_may_take_together_is_bounded(vast):
    def main():
        for number in range(4000):
            open("a" * 250 + f"{number:05}", "w").close()
        return "ended"

    long = "*" + "a" * 62
    answer = vast(main, files_out=[f"{long}{last}" for last in "bcdef"])
    # All was looked for that could be, the answer says that it was not all, and the next job has its turn.
    assert answer.result == "ended" and answer.body["truncated"] == ["files"] and len(answer.body["files_missing"]) == 5
    assert vast("def main():\n    open('b', 'w').close()", files_out=["[b]"]).files[0]["name"] == "b"


def test_giants_and_trees_without_end_are_bounded(vast):
    def script():
        import os

        def main():
            for name in ("giant", "out/giant", "left"):
                open(name, "w").close()
                os.truncate(name, 1 << 40)
            for one in range(200):
                for other in range(200):
                    os.makedirs(f"wide/{one}/{other}")
            open("wide/199/199/last", "w").close()
            for number in range(3000):
                if number in (14, 15, 16, 2999):
                    open("f", "w").close()
                os.mkdir("d")
                os.chdir("d")

    answer = vast(script, files_out=["giant", "wide/199/199/last", "**/f", "**/last"])
    assert answer.status == 200 and answer.body["truncated"] == ["files"]
    assert set(returned(answer)) == {"wide/199/199/last", *("d/" * depth + "f" for depth in (14, 15, 16))}
    assert set(omitted(answer)) == {"giant"} and [file["size"] for file in answer.files if "omitted" in file] == [1 << 40] * 2
    # Nobody looks so far for the last of them.
    assert left(answer) == {"left": 1 << 40} and answer.body["files_missing"] == ["**/last"]


def test_what_is_asked_for_is_read_when_all_are_dead(execute, secret):
    script = f"""
import os, time
def main():
    ready, tell = os.pipe()
    open("file", "w").write("plain")
    os.mkdir("d")
    open("d/f", "w").write("plain")
    for child in range(4):
        if os.fork() == 0:
            os.setsid()
            os.write(tell, b"x")
            while True:
                for target in ("{secret}", "{secret.parent}"):
                    try:
                        os.symlink(target, f"link{{child}}")
                        os.rename(f"link{{child}}", "file")
                        open(f"plain{{child}}", "w").write("plain")
                        os.rename(f"plain{{child}}", "file")
                        os.rename("d", f"d{{child}}")
                        os.symlink(target, "d")
                        os.remove("d")
                        os.rename(f"d{{child}}", "d")
                    except OSError:
                        pass
    for child in range(4):
        os.read(ready, 1)
    time.sleep(0.02)
"""
    for _ in range(10):
        answer = execute(script, files_out=["file", "d/*", "**"])
        assert answer.status == 200 and set(returned(answer).values()) <= {b"plain", b""}
        assert set(omitted(answer).values()) <= {"it is not a regular file"} and secret.read_text() not in str(answer.body)


def test_nothing_of_it_stays_with_the_supervisor(start_service):
    service = start_service(supervisor={"slots": 2})
    descriptors = lambda: Counter(kind.split(":")[0] for kind in open_descriptors(service.supervisor.pid))
    mounts = lambda: Path("/proc/self/mountinfo").read_text().count("\n")
    script = "import os\ndef main():\n    os.mkdir('out/d')\n    open('out/d/f', 'wb').write(b'x' * (1 << 20))\n    os.symlink('/', 'out/l')"
    run = lambda: service.client.execute(script).files
    assert len(run()) == 2
    service.settle()
    # A child is there before the supervisor has all that it holds of it.
    eventually(lambda: service.stats()["profiles"]["default"]["parked"] == len(service.parked()))
    before, mounted = descriptors(), mounts()
    # The gateway keeps a connection more, if a request comes while the last one is not given back yet.
    before["socket"] += 2
    for _ in range(20):
        assert len(run()) == 2
    service.settle()
    # What it held before may have been the last of a job's that was ending.
    eventually(lambda: descriptors() <= before)
    assert mounts() <= mounted


def test_names_made_to_be_long_compared_are_compared_to_a_bound(execute):
    """Each letter of each name could be the first of what stands behind the star, at each place of the pattern."""

    def script():
        import os

        def main():
            for _ in range(7):
                os.mkdir("a" * 120 + "b")
                os.chdir("a" * 120 + "b")
            for number in range(3000):
                os.close(os.open(f"{number:05}" + "a" * 250, os.O_CREAT | os.O_WRONLY))

    pattern = "/".join(["**", "*" + "a" * 58 + "[bc]"] * 8)
    answer = execute(script, files_out=[pattern])
    assert answer.result is None and answer.body["files_missing"] == [pattern]
    assert answer.body["truncated"] == ["files"]
    # What is asked for in front of it is found.
    answer = execute("def main(): open('x.csv', 'w').write('x')", files_out=["*.csv", pattern])
    assert returned(answer) == {"x.csv": b"x"} and answer.body["truncated"] == []
