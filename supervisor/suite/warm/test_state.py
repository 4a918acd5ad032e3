"""No state crosses: not from the warm interpreter to two of its children, not from one job to the next."""

import uuid
from concurrent.futures import ThreadPoolExecutor

JOBS = 8  # more than are parked at once, so that some are forked after others have run


def run_many(execute, script, **fields):
    with ThreadPoolExecutor(4) as pool:
        return [answer.result for answer in pool.map(lambda _: execute(script, **fields), range(JOBS))]


def draws():
    import logging
    import multiprocessing
    import random
    import secrets
    import ssl
    import tempfile
    import uuid

    import numpy as np

    def main():
        return {
            "random": random.random(), "random bits": random.getrandbits(64), "a new Random": random.Random().random(), "shuffled": random.sample(range(1000), 10),
            "secrets": secrets.token_hex(), "uuid1": str(uuid.uuid1()), "uuid1, node": uuid.uuid1().node, "uuid4": str(uuid.uuid4()), "node": uuid.getnode(),
            "numpy, legacy": np.random.rand(2).tolist(), "numpy, default": np.random.default_rng().random(), "numpy, RandomState": np.random.RandomState().rand(),
            "numpy, normal": np.random.standard_normal(), "numpy, entropy": np.random.SeedSequence().entropy,
            "ssl": ssl.RAND_bytes(16).hex(), "temporary name": tempfile.mktemp(), "temporary file": tempfile.mkstemp()[1],
            "multiprocessing": bytes(multiprocessing.current_process().authkey).hex(), "log's beginning": logging._startTime,
        }


def test_nothing_random_or_unique_is_the_same_in_two_jobs(execute):
    told = run_many(execute, draws)
    for what in told[0]:
        assert len({str(job[what]) for job in told}) == JOBS, (what, [job[what] for job in told])


# A module of an operator's own, imported ahead, that has made and used every kind of generator.
DRAWN = """
import logging, multiprocessing, random, ssl, tempfile, uuid
import numpy as np
own, legacy, default, philox = random.Random(1), np.random.RandomState(2), np.random.default_rng(3), np.random.Generator(np.random.Philox(4))
drawn = [random.random(), own.gauss(0, 1), legacy.standard_normal(), default.random(), philox.random(), np.random.rand(), np.random.randn(),
         ssl.RAND_bytes(16), uuid.uuid1(), uuid.getnode(), next(tempfile._get_candidate_names()), multiprocessing.current_process().authkey]
"""


def drawn_ahead():
    import multiprocessing
    import random
    import ssl
    import tempfile
    import uuid
    import wsgiref

    import numpy as np

    def main():
        return {
            "random": random.random(), "own": wsgiref.own.random(), "own, normal": wsgiref.own.gauss(0, 1), "legacy": wsgiref.legacy.rand(),
            "legacy, normal": wsgiref.legacy.standard_normal(), "default": wsgiref.default.random(), "philox": wsgiref.philox.random(),
            "numpy": np.random.rand(), "numpy, normal": np.random.randn(), "ssl": ssl.RAND_bytes(16).hex(), "uuid1": str(uuid.uuid1()), "uuid1, node": uuid.uuid1().node, "node": uuid.getnode(),
            "temporary name": tempfile.mktemp(), "multiprocessing": bytes(multiprocessing.current_process().authkey).hex(),
        }


def test_generators_that_an_import_has_made_and_used_differ_too(start_service, own_module):
    service = start_service(policy=own_module.profile(DRAWN))
    told = run_many(service.client.execute, drawn_ahead, profile="own")
    for what in told[0]:
        assert len({str(job[what]) for job in told}) == JOBS, (what, [job[what] for job in told])


# What the kernel is asked to do with memory at a fork: generators of random numbers in native code live in pages that are wiped.
WIPED = """
import ctypes, mmap
libc = ctypes.CDLL(None)
libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
def page(size):
    place = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    ctypes.memset(place, 1, size)
    return place
kept, wiped = page(4 << 20), page(4 << 20)
assert libc.madvise(wiped, 4 << 20, 18) == 0  # MADV_WIPEONFORK, madvise(2)
"""


def look_at_pages():
    import ctypes
    import os
    import wsgiref

    def main():
        return [ctypes.string_at(wsgiref.kept, 1).hex(), ctypes.string_at(wsgiref.wiped, 1).hex(), os.urandom(8).hex()]


def test_what_is_to_be_wiped_at_a_fork_is_wiped(start_service, own_module):
    service = start_service(policy=own_module.profile(WIPED))
    told = run_many(service.client.execute, look_at_pages, profile="own")
    assert {(kept, wiped) for kept, wiped, _ in told} == {("01", "00")}
    assert len({random for *_, random in told}) == JOBS


# A generator that gets a new state where its process is another, as OpenSSL's does: its openssl_get_fork_id().
OF_A_PROCESS = """
import os, random
class Generator:
    def __init__(self):
        self.process, self.state = os.getpid(), os.urandom(8)
    def draw(self):
        if self.process != os.getpid():
            self.__init__()
        return self.state.hex()
generator = Generator()
"""


def draw_by_process():
    import os
    import wsgiref

    def main():
        def in_a_child():
            read, write = os.pipe()
            if os.fork() == 0:
                os.write(write, wsgiref.generator.draw().encode())
                os._exit(0)
            os.wait()
            return os.read(read, 100).decode()

        return [in_a_child(), in_a_child(), wsgiref.generator.draw()]


def test_a_process_of_a_job_has_another_id_than_its_zygote(start_service, own_module):
    service = start_service(policy=own_module.profile(OF_A_PROCESS))
    told = run_many(service.client.execute, draw_by_process, profile="own")
    drawn = [drawn for job in told for drawn in job]
    assert len(set(drawn)) == len(drawn) == 3 * JOBS


def changes():
    import builtins
    import decimal
    import json
    import locale
    import os
    import signal
    import sys
    import time
    import warnings

    import numpy as np
    import pandas as pd

    def look():
        mask = os.umask(0)
        os.umask(mask)
        return {
            "a module": hasattr(json, "marker"), "a library": hasattr(np, "marker"), "builtins": hasattr(builtins, "marker"), "environment": sorted(os.environ),
            "modules": "marker" in sys.modules, "path": "marker" in sys.path, "decimal": decimal.getcontext().prec, "printing": np.get_printoptions()["precision"],
            "errors": np.geterr()["divide"], "pandas": pd.get_option("display.max_rows"), "filters": any("marker" in str(entry) for entry in warnings.filters), "recursion": sys.getrecursionlimit(),
            "alarm": str(signal.getsignal(signal.SIGALRM)), "umask": mask, "directory": os.getcwd(), "files": os.listdir("/tmp") + os.listdir("/dev/shm"), "zone": time.tzname,
            "nice": os.getpriority(os.PRIO_PROCESS, 0), "a class": hasattr(pd.DataFrame, "marker"), "cpus": len(os.sched_getaffinity(0)),
            "array": float(np.ma.masked.data), "hook": sys.excepthook is sys.__excepthook__, "locale": locale.setlocale(locale.LC_ALL), "modes": sorted(os.environ.get("TZ", "")),
        }

    def main(change):
        before = look()
        if change:
            json.marker = np.marker = builtins.marker = pd.DataFrame.marker = 1
            os.environ.update(MARKER="1", TZ="Asia/Tokyo")
            time.tzset()
            sys.modules["marker"] = json
            sys.path.append("marker")
            decimal.getcontext().prec = 3
            np.set_printoptions(precision=1)
            np.seterr(all="raise")
            pd.set_option("display.max_rows", 3)
            warnings.filterwarnings("error", "marker")
            sys.setrecursionlimit(500)
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            os.umask(0)
            os.chdir("/dev/shm")
            for place in ("/tmp", "/dev/shm"):
                open(place + "/marker", "w").close()
            os.setpriority(os.PRIO_PROCESS, 0, 19)
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            sys.excepthook = print
            assert look() != before
        return before


def test_what_one_job_changes_the_next_does_not_see(execute):
    fresh = execute(changes, args=[False]).result
    for _ in range(6):
        assert execute(changes, args=[True]).result == fresh
    assert execute(changes, args=[False]).result == fresh


SEARCH = """
import ctypes

def main(hidden, known):
    # Put together byte by byte, so that no other copy of what is searched for comes to lie in memory.
    search = ctypes.CDLL(None).memmem
    search.restype, search.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t]
    def count(secret):
        needle = ctypes.create_string_buffer(len(secret))
        for at, byte in enumerate(secret):
            needle[at] = byte ^ 0x55
        found = 0
        for start, end in regions:
            while (at := search(start, end - start, needle, len(needle))) is not None:
                found += not ctypes.addressof(needle) <= at < ctypes.addressof(needle) + len(needle)
                start = at + 1
        return found
    regions = []
    for line in open("/proc/self/maps"):
        bounds, access, *_, name = line.split(maxsplit=5) + [""] * (6 - len(line.split(maxsplit=5)))
        if access.startswith("rw") and not name.startswith("[v"):
            regions.append([int(bound, 16) for bound in bounds.split("-")])
    return [count(hidden), count(known), sum(end - start for start, end in regions)]
"""


def test_nothing_of_an_earlier_job_is_in_memory(execute):
    canary = "canary-" + uuid.uuid4().hex
    masked = lambda text: [byte ^ 0x55 for byte in text.encode()]
    used = f"import sys\nkept = '{canary}' * 1000\ndef main(value, **named):\n    print(value, sys.stdin.read(), {canary!r})\n"
    for ending in ("return value", "raise ValueError(value)", "import os; os._exit(0)"):
        execute(used + "    " + ending, args=[canary], kwargs={"a" + canary.replace("-", ""): canary}, stdin=canary)
    for _ in range(JOBS):
        # The search is seen to find what is there: a text of this job's own script.
        found, control, size = execute(SEARCH + f"\nown = 'own-{canary[7:]}'", args=[masked(canary), masked("own-" + canary[7:])]).result
        assert (found, control > 0) == (0, True) and size > 1 << 20


def test_each_zygote_has_a_hash_of_its_own_and_cold_jobs_each(start_service):
    # The price of being forked: written in the documentation. Another zygote, or none, has another; see also `test_started`.
    profiles = "".join(f'[profile.{name}]\nextends = "default"\nwarm = {warm}\n' for name, warm in
                       (("one", '{ imports = ["json"], parked = 1 }'), ("other", '{ imports = ["json"], parked = 1 }'), ("none", "false")))
    service = start_service(policy=profiles)
    told = [service.client.execute("def main(): return hash('a text')", profile=name).result for name in ("one", "other", "none", "none")]
    assert len(set(told)) == 4
