"""Programs as people write them, of the standard library and numpy; `make compat` has more, and Python's own tests."""

import errno

import pytest

from prelude import attack
from service import REPOSITORY

PROGRAMS = REPOSITORY / "supervisor/compat/programs"
PI = "3.1415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170679"
QUOTIENTS = [[0, "ZeroDivisionError('integer division or modulo by zero')"], [1, 12], [2, 6], [3, 4]]
RESULTS = {
    "blas_threads": {"right": [True] * 8, "alone": "400.0\n"},
    "decimals": {"pi": [PI[:12], PI], "third": "11/24", "deviation": "1.527525231651946668862682398"},
    "event_loop": [[2**n for n in range(8)], "HELLO\n", "abab\n", "SIGUSR1"],
    "files_and_archives": {"names": [["b/", "b/one.txt", "link"], [".", "./b", "./b/one.txt", "./link"]],
                           "kept": ["0o100640", 8192], "copied": 100, "gone": True},
    "frames": {"by city": {"Bonn": 6, "Ulm": 4}, "weekly": [3, 7], "same": True},
    "futures": {"ThreadPoolExecutor": QUOTIENTS, "ProcessPoolExecutor": QUOTIENTS},
    "interpreters": ["cba\n", 3, "TimeoutExpired", -9, "True\n", '{"a":[1]}\n'],
    "process_pools": {"squares": [n * n for n in range(10)], "managed": {"a": 1, "b": 2}, "filled": "07070700", "queue": "through a pipe"},
    "sqlite_database": {"mode": "wal", "total": [500, 249500], "copied": 1000},
    "time_zones": {"twice": ["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00"], "all load": True},
    "two_hundred_modules": {"two hundred": True, "not imported": {}},
}


@pytest.mark.parametrize("program", RESULTS)
def test_a_program_gives_the_result_that_it_gives_anywhere(execute, program):
    """With the default profile's permissions; only its time is longer, for machines that are busy."""
    assert execute((PROGRAMS / f"{program}.py").read_text(), profile="patient").result == RESULTS[program]


def test_newer_calls_that_are_not_allowed_are_as_if_the_kernel_were_older(execute):
    """What libraries try first, they do without when it is not there; when it is refused, they give up."""
    newer = {"open_tree": 428, "clone3": 435, "openat2": 437, "landlock_create_ruleset": 444, "memfd_secret": 447, "cachestat": 451,
             "map_shadow_stack": 453, "futex_wake": 454, "mseal": 462, "getxattrat": 464}
    older = {"ptrace": 101, "chroot": 161, "keyctl": 250, "userfaultfd": 323}
    script = attack("def main(numbers): return {name: syscall(number, 0, 0, 0, 0, 0, 0) for name, number in numbers.items()}")
    assert execute(script, args=[newer]).result == dict.fromkeys(newer, "ENOSYS")
    assert execute(script, args=[older]).result == dict.fromkeys(older, "EPERM")


def test_newer_calls_that_are_allowed_are_there(execute):
    script = attack("""
    import select
    def main():
        opened = os.pidfd_open(os.getpid())
        return [opened > 2, syscall(424, opened, 0, None, 0), syscall(439, -100, b"/tmp", os.R_OK, 0),
                syscall(441, select.epoll().fileno(), ctypes.create_string_buffer(12), 1, None, None, 8) != "ENOSYS",
                syscall(436, 500, 600, 0)]
    """)
    assert execute(script).result == [True, 0, 0, True, 0]


def test_a_copy_that_cannot_share_blocks_says_so(execute):
    """Python's own `Path.copy` falls back on these errors, and on no refusal."""
    def main():
        import fcntl

        said = []
        for source in (open("/tmp/source", "w+"), open(fcntl.__file__, "rb")):
            with open("/tmp/target", "w") as target:
                try:
                    fcntl.ioctl(target, 0x40049409, source.fileno())  # FICLONE
                    said.append("shared")
                except OSError as error:
                    said.append(error.errno)
        return said

    assert execute(main).result == [errno.EOPNOTSUPP, errno.EXDEV]
