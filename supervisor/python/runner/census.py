"""Who is in a session's process and below it beside the thread that its cells run in: what a copy of it would be without."""

import os
from _thread import _count as thread_count

from .captured import os_getpid, sys_modules
from .texts import encodable

MOST_NAMED_THREADS, LONGEST_THREAD = 32, 80

# Captured, for a cell may patch them.
list_directory, look_for_child, open_file = os.listdir, os.waitid, open
# How many threads Python goes on to count that a copy of the process is without.
lost_threads = [0]
ANY_CHILD = os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT


def forget_threads():
    """In a copy, which has none but the main one: whatever is counted there is another's."""
    lost_threads[0] = thread_count()


def python_threads():
    """The names of Python's threads but for the main one, and how many there are."""
    count = max(0, thread_count() - lost_threads[0])
    threading = sys_modules.get("threading")
    if not count or threading is None:
        return [], count
    try:
        here = threading.main_thread()
        threads = [thread for thread in threading.enumerate() if thread is not here]
    except Exception:
        return [], count
    return [thread_name(thread) for thread in threads[:MOST_NAMED_THREADS]], max(count, len(threads))


def thread_name(thread):
    try:
        return encodable("".join((thread.name,))[:LONGEST_THREAD])
    except BaseException:
        return "without a name"


def native_threads(of_python):
    """How many threads there are that Python knows nothing of."""
    try:
        return max(0, len(list_directory("/proc/self/task")) - 1 - of_python)
    except OSError:
        return 0


def children():
    """How many processes this one has started that it has not waited for."""
    try:
        look_for_child(*ANY_CHILD)
    except ChildProcessError:
        return 0
    except OSError:
        pass
    try:
        return sum(map(is_child_of(os_getpid()), filter(str.isdecimal, list_directory("/proc"))))
    except OSError:
        return 0


def is_child_of(parent):
    def is_child(number):
        try:
            with open_file(f"/proc/{number}/stat") as stat:
                return int(stat.read().rpartition(")")[2].split()[1]) == parent
        except (OSError, ValueError, IndexError):
            return False

    return is_child
