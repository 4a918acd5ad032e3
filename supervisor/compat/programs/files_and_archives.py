"""Files as programs handle them: temporary ones, trees copied and removed, archives, locks, memory maps, metadata."""

import fcntl
import mmap
import os
import pathlib
import shutil
import tarfile
import tempfile
import zipfile


def main():
    root = pathlib.Path(tempfile.mkdtemp())
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/one.txt").write_text("one" * 1000)
    (root / "a/link").symlink_to("b/one.txt")
    os.utime(root / "a/b/one.txt", (1e9, 2e9))
    (root / "a/b/one.txt").chmod(0o640)
    shutil.copytree(root / "a", root / "copy", symlinks=True)
    archives = [shutil.make_archive(str(root / kind), kind, root / "a") for kind in ("zip", "gztar", "xztar", "bztar")]
    with zipfile.ZipFile(archives[0]) as archive, tarfile.open(archives[1]) as tar:
        names = sorted(archive.namelist()), sorted(tar.getnames())
    with open(root / "copy/b/one.txt", "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)
        with mmap.mmap(file.fileno(), 0) as mapped:
            mapped[:3] = b"ONE"
            mapped.flush()
        os.fsync(file.fileno())
        os.posix_fallocate(file.fileno(), 0, 8192)
    status = (root / "copy/b/one.txt").stat()
    kept = [oct(status.st_mode), status.st_size]
    with tempfile.TemporaryFile() as nameless, tempfile.NamedTemporaryFile() as named:
        nameless.write(b"x" * 100)
        nameless.seek(0)
        shutil.copyfileobj(nameless, named)
        copied = named.tell()
    shutil.rmtree(root)
    return {"names": names, "kept": kept, "copied": copied, "gone": not root.exists()}
