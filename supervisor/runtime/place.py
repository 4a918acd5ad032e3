"""Directories that are made: by one maker at a time, whole or not at all, and anew only where what they were made of has changed."""

import ctypes
import fcntl
import os
import shutil
import sys


def made(directory, is_current, make, say):
    """Whether a directory had to be made: `make(new)` makes one in another place, which then takes its own.

    Until the new one is complete the old one stays; a maker that fails leaves nothing.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.parent / f".{directory.name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another that makes {directory}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if is_current(directory):
            return False
        new = directory.parent / f".{directory.name}.new"
        shutil.rmtree(new, ignore_errors=True)
        try:
            make(new)
            replace(directory, new)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
    return True


def replace(directory, new):
    """Put the new one in the old one's place in one step, where the file system can do that."""
    old = directory.parent / f".{directory.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        at_cwd, exchange = -100, 2
        if ctypes.CDLL(None).renameat2(at_cwd, os.fsencode(new), at_cwd, os.fsencode(directory), exchange) == 0:
            # Jobs that run keep the old one open and import from it; the next maker removes it.
            new.rename(old)
            return
        directory.rename(old)
    new.rename(directory)


def run(main, name):
    """A program's `main`, whose failures are sentences of the program's."""
    try:
        main()
    except OSError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted")
