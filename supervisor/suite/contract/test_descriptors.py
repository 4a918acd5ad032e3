"""docs/scripts.md: the standard streams can be opened by their paths, as can whatever descriptor a job has."""

import pytest


@pytest.mark.parametrize("path", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/proc/thread-self/fd/0"])
def test_standard_input_is_read_by_its_path(execute, path):
    script = "def main(path):\n    with open(path) as file:\n        return file.read().split()"
    assert execute(script, args=[path], stdin="x y\n").result == ["x", "y"]


def test_what_was_read_of_it_is_not_read_again(execute):
    def main():
        import os

        first = os.read(0, 3).decode()
        return [first, open("/dev/stdin").read(), open("/dev/stdin").read()]

    assert execute(main, stdin="one two").result == ["one", " two", ""]


@pytest.mark.parametrize(("number", "path"), [(1, "/dev/stdout"), (1, "/dev/fd/1"), (1, "/proc/self/fd/1"), (2, "/dev/stderr"), (2, "/dev/fd/2")])
@pytest.mark.parametrize("mode", ["w", "a", "r+b", "xb"])
def test_output_is_written_by_its_path(execute, number, path, mode):
    def main(path, mode):
        if mode == "xb":
            try:
                return repr(open(path, mode))
            except FileExistsError:
                mode = "wb"
        with open(path, mode, **({"buffering": 0} if "b" in mode else {})) as file:
            return file.write(b"hello\n" if "b" in mode else "hello\n")

    answer = execute(main, args=[path, mode])
    assert answer.result == 6
    assert (answer.stdout, answer.stderr) == (("hello\n", "") if number == 1 else ("", "hello\n"))


def test_what_is_written_by_paths_and_printed_keeps_its_order(execute):
    def main():
        import pathlib
        import shutil
        import sys

        print("one")
        pathlib.Path("/dev/stdout").write_text("two\n")
        print("three")
        with open("text", "w") as file:
            file.write("four\n")
        with open("text", "rb") as source, open("/dev/fd/1", "wb") as target:
            shutil.copyfileobj(source, target)
        sys.stdout.flush()
        # As `tee` does: one text to several files.
        for path in ("copy", "/dev/stdout", "/dev/stderr"):
            with open(path, "a") as file:
                file.write("five\n")
        return open("copy").read()

    answer = execute(main)
    assert (answer.result, answer.stdout, answer.stderr) == ("five\n", "one\ntwo\nthree\nfour\nfive\n", "five\n")


def test_children_and_other_interpreters_have_them_too(execute):
    def main():
        import os
        import subprocess
        import sys

        if os.fork() == 0:
            open("/dev/stdout", "w").write("a child\n")
            os._exit(0)
        os.wait()
        code = "open('/dev/stdout', 'w').write(open('/dev/stdin').read().upper())"
        told = subprocess.run([sys.executable, "-c", code], input="piped", capture_output=True, text=True)
        subprocess.run([sys.executable, "-c", "open('/dev/stdout', 'w').write('another\\n')"])
        return [told.stdout, told.stderr]

    answer = execute(main)
    assert answer.result == ["PIPED", ""] and answer.stdout == "a child\nanother\n"


def test_descriptors_of_the_jobs_own_are_opened_and_others_are_not_there(execute):
    def main():
        import os
        import tempfile

        read, write = os.pipe()
        with open(f"/dev/fd/{write}", "w") as file:
            file.write("by a pipe")
        with tempfile.TemporaryFile("w+") as unnamed:
            unnamed.write("by no name")
            unnamed.flush()
            seen = [os.read(read, 100).decode(), open(f"/proc/self/fd/{unnamed.fileno()}").read()]
        os.close(read)
        for path in (f"/dev/fd/{read}", "/proc/self/fd/99", "/dev/fd/x"):
            try:
                open(path)
            except OSError as error:
                seen.append(type(error).__name__)
        os.close(0)
        try:
            open("/dev/stdin")
        except OSError as error:
            seen.append(type(error).__name__)
        return seen + [sorted(map(int, os.listdir("/dev/fd")))[:2], os.path.exists("/dev/stdin"), os.path.exists("/dev/stdout")]

    seen = execute(main).result
    assert seen[:2] == ["by a pipe", "by no name"] and seen[2:6] == ["FileNotFoundError"] * 4
    assert seen[7:] == [False, True]


def test_the_result_has_no_such_path(execute):
    # A pipe that nobody has a reason to open again.
    answer = execute("def main():\n    return open('/proc/self/fd/3', 'wb')")
    assert answer.error["exception"] == "PermissionError"
