"""The request, and the files that come behind it, from descriptor 0."""

import os

from .captured import json_scan, os_exit, os_read, os_write
from .report import Stop

int_from_bytes = int.from_bytes


def receive(read):
    length = int_from_bytes(read_exactly(read, 8), "big")
    return json_scan(read_exactly(read, length).decode(), 0)[0]


def read_exactly(read, count):
    parts = []
    while count:
        part = read(min(count, 1 << 20))
        if not part:
            os_exit(1)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def read_standard_input(count):
    return os_read(0, count)


def put_files(files):
    """Write the request's files, whose content follows it. Their paths were checked outside, and lead through nothing of a script's."""
    for path, size in files:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            while size:
                part = memoryview(read_exactly(read_standard_input, min(size, 1 << 16)))
                size -= len(part)
                while part:
                    part = part[os_write(file, part) :]
            # At a whole second: what is changed from here on is seen by that, for nobody happens to write at one.
            put = int(os.fstat(file).st_mtime)
            os.utime(file, (put, put))
            os.close(file)
        except OSError as error:
            from .describe import describe

            described = describe(error)
            described["message"] = "a file of the request could not be put there: " + described["message"]
            raise Stop(**described) from None
