"""The files of a session, put, fetched, listed and deleted by the session itself between cells. Their paths were checked outside."""

import binascii
import errno
import os
import stat
import time

from .branches import copy_directory, enter_directory, is_of_branch, remove_copies, scan_directory
from .captured import RESULT_FD, os_close, os_fstat, os_open, os_write
from .encode import dump
from .report import encode_error, pipe_turn
from .telling import tell
from .texts import encodable

MOST_LISTED, MOST_SEEN, MOST_IN_PATH = 1000, 100_000, 4096
PIECE = 1 << 16
# The last second of the year 9999.
LAST_SECOND = 253402300799

# Captured, for a cell may patch them.
make_directories, remove_file, read_file, path_stat = os.makedirs, os.unlink, os.read, os.lstat
in_utc, written_time, to_base64 = time.gmtime, time.strftime, binascii.b2a_base64

NOT_THERE = (errno.ENOENT, errno.ENOTDIR)
NO_PLACE = (errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.ENAMETOOLONG, errno.EEXIST, errno.EINVAL)
# A pipe without another end is not waited for, and neither is a terminal.
OPEN = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


# Why an order is not carried out, as the word for programs and one for people.
class Refused(Exception):
    pass


class SessionFiles:
    def __init__(self, directory, inbox, sources):
        self.directory, self.inbox, self.sources = directory, inbox, sources
        # That of the session which all branches come from.
        self.root = directory

    def copy_for(self, branch):
        return copy_directory(self.directory, self.root, branch)

    def be_of_branch(self, own):
        """From now on the files are a copy of those of the session that this was forked from."""
        enter_directory(self.directory, own)
        self.directory = own

    def carry_out(self, order):
        """Do what an order about files says, and say what it came to."""
        try:
            if "put" in order:
                self.put(order["put"], order["size"])
            elif "get" in order:
                self.get(order["get"], order.get("most"))
                return
            elif "export" in order:
                self.export(order["export"], order["most"], order["most_cells"])
                return
            elif "delete" in order:
                self.delete(order["delete"])
            elif "gone" in order:
                remove_copies(self.root, order["gone"])
            said = self.list() if "list" in order else {}
        except Refused as refused:
            code, message = refused.args
        except OSError as error:
            code = "not_found" if error.errno in NOT_THERE else "invalid_request" if error.errno in NO_PLACE else "exception"
            message = f"{type(error).__name__}: {os.strerror(error.errno or 0)}"
        except Exception as error:
            code, message = "exception", f"{type(error).__name__}: {error}"
        else:
            tell(b"R", dump(said))
            return
        tell(b"E", encode_error({"code": code, "message": message}))

    def whole(self, path):
        return f"{self.directory}/{path}"

    def put(self, path, size):
        """Write what follows the order; all of that is taken in any case."""
        left, file = size, None
        try:
            path = self.whole(path)
            make_directories(path.rpartition("/")[0], exist_ok=True)
            file = self.open_regular(path, os.O_WRONLY | os.O_CREAT)
            os.ftruncate(file, 0)
            while left:
                part = memoryview(self.inbox.take(min(left, PIECE), whole=False))
                left -= len(part)
                while part:
                    part = part[os_write(file, part) :]
        finally:
            while left:
                left -= len(self.inbox.take(min(left, PIECE), whole=False))
            if file is not None:
                os_close(file)

    def open_regular(self, path, flags):
        file = os_open(path, flags | OPEN, 0o666)
        if not stat.S_ISREG(os_fstat(file).st_mode):
            os_close(file)
            raise Refused("invalid_request", "it is no file, but a directory, a pipe, a socket or a device")
        return file

    def get(self, path, most):
        """Say what is in a file. One that shrinks meanwhile is filled up with zeros: its size is said first."""
        file = self.open_regular(self.whole(path), os.O_RDONLY)
        try:
            size = os_fstat(file).st_size
            if most is not None and size > most:
                raise Refused("invalid_request", f"the file is {size} bytes, above {most}")
            with pipe_turn:
                say_all(b"F" + size.to_bytes(8, "big"))
                while size:
                    part = read_piece(file, min(size, PIECE))
                    say_all(part)
                    size -= len(part)
        finally:
            os_close(file)

    def export(self, with_files, most, most_cells):
        """Say what made the session: a request for one that is made by the same cells, and has the files that there are now."""
        cells = dump([{"code": source} for source in self.sources])
        if len(cells) > most_cells:
            raise Refused("invalid_request", f"its cells are {len(cells)} bytes of JSON, above {most_cells}: what made it is not kept by anybody")
        files = []
        for path in sorted(self.found()) if with_files else ():
            content = self.content(path, most)
            most -= len(content)
            files.append({"path": path, "content_base64": to_base64(content, newline=False).decode()})
        tell(b"F", b'{"files":' + dump(files) + b',"cells":' + cells + b"}")

    def content(self, path, most):
        if encodable(path) != path:
            raise Refused("invalid_request", "the name of a file is no text: have a cell give it another")
        file = self.open_regular(self.whole(path), os.O_RDONLY | os.O_NOFOLLOW)
        try:
            parts, size = [], os_fstat(file).st_size
            while size <= most and (part := read_file(file, PIECE)):
                parts.append(part)
                size = max(size, sum(map(len, parts)))
        finally:
            os_close(file)
        if size > most:
            raise Refused("invalid_request", "its files are more bytes than the profile's files_out_bytes: export it without them, and fetch them one by one")
        return b"".join(parts)

    def delete(self, path):
        path = self.whole(path)
        if stat.S_ISDIR(path_stat(path).st_mode):
            raise Refused("invalid_request", "it is a directory: files are deleted")
        remove_file(path)

    def list(self):
        """The files below the directory, through no link, sorted by their paths; and how many there are beyond those that are told."""
        found = self.found()
        files = [told for told in map(self.told, sorted(found)[:MOST_LISTED]) if told]
        return {"files": files, "more": len(found) - len(files)}

    def found(self):
        """The paths of all files, in no order."""
        found, todo = [], [""]
        while todo and len(found) < MOST_SEEN:
            inner = todo.pop()
            try:
                entries = scan_directory(self.whole(inner))
            except OSError:
                continue
            with entries:
                for entry in entries:
                    path = inner + entry.name
                    if not inner and is_of_branch(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(path + "/")
                    elif entry.is_file(follow_symlinks=False):
                        found.append(path)
        return found

    def told(self, path):
        try:
            if len(path.encode()) > MOST_IN_PATH:
                return None
            found = path_stat(self.whole(path))
        except (OSError, UnicodeEncodeError):  # gone meanwhile, or named in no text
            return None
        at = in_utc(min(max(int(found.st_mtime), 0), LAST_SECOND))
        return {"path": path, "size": found.st_size, "modified": written_time("%Y-%m-%dT%H:%M:%SZ", at)}


def read_piece(file, count):
    try:
        return read_file(file, count) or bytes(count)
    except OSError:
        return bytes(count)


def say_all(data):
    view = memoryview(data)
    while view:
        view = view[os_write(RESULT_FD, view) :]
