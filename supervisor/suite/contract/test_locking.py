"""Programs that lock, copy and flush do so as anywhere: what is refused of these calls is refused to nobody who means well."""


def test_databases_exclude_each_other_in_every_mode(execute):
    def main():
        import os
        import sqlite3

        counted = {}
        for mode in ("delete", "truncate", "persist", "wal"):
            path = f"/tmp/{mode}.db"
            one = sqlite3.connect(path, isolation_level=None)
            one.execute(f"pragma journal_mode = {mode}")
            one.execute("create table counts (n integer)")
            one.execute("insert into counts values (0)")
            one.close()
            children = []
            for _ in range(2):
                pid = os.fork()
                if pid == 0:
                    own = sqlite3.connect(path, timeout=60, isolation_level=None)
                    for _ in range(50):
                        own.execute("begin immediate")
                        [(n,)] = own.execute("select n from counts")
                        own.execute("update counts set n = ?", (n + 1,))
                        own.execute("commit")
                    os._exit(0)
                children.append(pid)
            ends = [os.waitpid(child, 0)[1] for child in children]
            counted[mode] = [*ends, *sqlite3.connect(path).execute("select n from counts").fetchone()]
        return counted

    assert execute(main, profile="patient").result == {mode: [0, 0, 100] for mode in ("delete", "truncate", "persist", "wal")}


def test_two_processes_of_a_job_exclude_each_other(execute):
    def main():
        import fcntl
        import os

        said = []
        for place in ("/tmp/lock", "/dev/shm/lock"):
            for lock in (fcntl.flock, fcntl.lockf):
                with open(place, "w") as file:
                    lock(file, fcntl.LOCK_EX)
                    pid = os.fork()
                    if pid == 0:
                        with open(place, "w") as other:
                            try:
                                lock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                            except OSError:
                                os._exit(3)
                        os._exit(0)
                    said.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        return said

    assert execute(main).result == [3] * 4


def test_copies_archives_and_flushes(execute):
    def main():
        import os
        import shutil
        import tempfile
        import zipfile

        os.makedirs("/tmp/from/deep")
        with open("/tmp/from/deep/file", "w") as file:
            file.write("content")
            file.flush()
            os.fsync(file.fileno())
            os.fdatasync(file.fileno())
        os.chmod("/tmp/from/deep/file", 0o640)
        os.utime("/tmp/from/deep/file", (10**9, 10**9))
        shutil.copy2("/tmp/from/deep/file", "/tmp/copy")
        shutil.copy2(os.__file__, "/tmp/os.py")
        shutil.copytree("/tmp/from", "/tmp/to")
        archive = shutil.make_archive("/tmp/packed", "zip", "/tmp/from")
        tar = shutil.make_archive("/tmp/packed", "gztar", "/tmp/from")
        shutil.unpack_archive(tar, "/tmp/unpacked")
        with tempfile.NamedTemporaryFile() as named, tempfile.TemporaryDirectory() as directory:
            shutil.move(shutil.copy(named.name, directory + "/x"), "/dev/shm/x")
        known = os.stat("/tmp/copy")
        return [oct(known.st_mode & 0o777), known.st_mtime, open("/tmp/to/deep/file").read(), zipfile.ZipFile(archive).namelist(), open("/tmp/unpacked/deep/file").read()]

    assert execute(main).result == ["0o640", 1e9, "content", ["deep/", "deep/file"], "content"]
