"""A session is forked: what a copy is given to be a session of its own, and where its files are."""

import errno
import fcntl
import os
import sys

from .captured import RESULT_FD, RETURNS_FD, os_close, os_getcwd, os_read

# The directories of branches, in that of the session that they come from: with the branch's id behind.
BRANCH = ".branch-"
DIGITS = frozenset("0123456789abcdef")
ENDS = 5

# Captured, for a cell may patch them.
scan_directory, change_directory, put_over, is_inherited, control = os.scandir, os.chdir, os.dup2, os.get_inheritable, fcntl.fcntl


def take_ends():
    """What a branch reads and writes, in the order that a process begins with: it comes behind the order, as unix(7) has it."""
    line, told = None, None
    try:
        import _socket

        line = _socket.socket(fileno=RETURNS_FD)
        # Whoever has set another for all sockets has it not wait: fcntl(2), O_NONBLOCK.
        line.settimeout(None)
        _, told, flags, _ = line.recvmsg(1, _socket.CMSG_SPACE(4 * ENDS), _socket.MSG_CMSG_CLOEXEC)
    finally:
        if line is not None:
            line.detach()
        if told is None:  # it is not to be taken for an order
            os_read(RETURNS_FD, 1)
    given = b"".join(data for level, kind, data in told if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS))
    ends = [int.from_bytes(given[at : at + 4], sys.byteorder) for at in range(0, len(given), 4)]
    if len(ends) != ENDS or flags & _socket.MSG_CTRUNC:
        let_go(ends)
        raise OSError(errno.EMFILE, "too many descriptors are open")
    return above(ends)


def above(ends):
    """The same where none of them stands where another is to be put: whoever has closed his output may have been given one there."""
    raised = []
    try:
        for end in ends:
            raised.append(control(end, fcntl.F_DUPFD_CLOEXEC, RETURNS_FD + 1) if end <= RETURNS_FD else end)
        return raised
    except OSError:
        let_go({*raised, *(end for end in ends if end > RETURNS_FD)})
        raise
    finally:
        let_go([end for end in ends if end <= RETURNS_FD])


def let_go(ends):
    for end in ends:
        os_close(end)


def put_in_place(ends, wake):
    """Where the session has its own, which it has no more then."""
    for end, number in zip(ends, (wake, 1, 2, RESULT_FD, RETURNS_FD)):
        put_over(end, number, number <= 2 or is_inherited(number))
    let_go(ends)


# Why the files of a session are not copied.
class NotCopied(Exception):
    pass


def copy_directory(directory, root, branch):
    """A copy of the directory of the session, in the root of all: the path of that. What is no file, directory or link is not copied."""
    import shutil

    own = f"{root}/{BRANCH}{branch}"
    try:
        shutil.copytree(directory, own, symlinks=True, ignore=lambda where, names: [name for name in names if is_left_out(root, where, name)])
    except shutil.Error as error:
        shutil.rmtree(own, ignore_errors=True)
        raise NotCopied(str(error.args[0][0][2])) from None
    except BaseException:
        shutil.rmtree(own, ignore_errors=True)
        raise
    return own


def is_of_branch(name):
    id = name.removeprefix(BRANCH)
    return name.startswith(BRANCH) and len(id) == 32 and DIGITS.issuperset(id)


def is_left_out(root, where, name):
    if where == root and is_of_branch(name):
        return True
    entry = os.path.join(where, name)
    return not (os.path.islink(entry) or os.path.isfile(entry) or os.path.isdir(entry))


def enter_directory(directory, own):
    """From now on be where one was, in the copy."""
    try:
        now = os_getcwd()
        if now == directory or now.startswith(f"{directory}/"):
            change_directory(own + now[len(directory) :])
    except OSError:  # that was no directory any more, or is another branch's
        change_directory(own)
    sys.path[:] = [own if path == directory else path for path in sys.path]


def remove_copies(root, branches):
    """The directories of branches that are over."""
    import shutil

    for branch in branches:
        shutil.rmtree(f"{root}/{BRANCH}{branch}", ignore_errors=True)
