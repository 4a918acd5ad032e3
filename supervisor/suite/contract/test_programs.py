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

# All calls since Linux 5.1 that the default profile does not allow: the kernel's syscall_64.tbl, up to Linux 6.18.
NEWER = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
    "fsmount": 432, "fspick": 433, "clone3": 435, "openat2": 437, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442,
    "quotactl_fd": 443, "landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446, "memfd_secret": 447,
    "process_mrelease": 448, "set_mempolicy_home_node": 450, "cachestat": 451, "map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455,
    "futex_requeue": 456, "statmount": 457, "listmount": 458, "lsm_get_self_attr": 459, "lsm_set_self_attr": 460, "lsm_list_modules": 461,
    "mseal": 462, "setxattrat": 463, "getxattrat": 464, "listxattrat": 465, "removexattrat": 466, "open_tree_attr": 467, "file_getattr": 468,
    "file_setattr": 469,
}


@pytest.mark.parametrize("program", RESULTS)
def test_a_program_gives_the_result_that_it_gives_anywhere(execute, program):
    """With the default profile's permissions; only its time is longer, for machines that are busy."""
    assert execute((PROGRAMS / f"{program}.py").read_text(), profile="patient").result == RESULTS[program]


def test_newer_calls_that_are_not_allowed_are_as_if_the_kernel_were_older(execute):
    """What libraries try first, they do without when it is not there; when it is refused, they give up."""
    older = {"ptrace": 101, "chroot": 161, "keyctl": 250, "userfaultfd": 323}
    script = attack("def main(numbers): return {name: syscall(number, 0, 0, 0, 0, 0, 0) for name, number in numbers.items()}")
    assert execute(script, args=[NEWER]).result == dict.fromkeys(NEWER, "ENOSYS")
    assert execute(script, args=[older]).result == dict.fromkeys(older, "EPERM")


def test_what_the_c_library_tries_first_and_falls_back_from_works(execute):
    """clone3 for threads and processes, fchmodat2 for modes, faccessat2 for rights, close_range for descriptors."""
    script = attack("""
    import subprocess, sys, threading
    HERE, NO_FOLLOW, EFFECTIVE = -100, 0x100, 0x200
    def main():
        said = []
        thread = threading.Thread(target=said.append, args=["thread"])
        thread.start()
        thread.join()
        spawned = os.posix_spawn(sys.executable, [sys.executable, "-c", "raise SystemExit(7)"], os.environ)
        said.append(os.waitstatus_to_exitcode(os.waitpid(spawned, 0)[1]))
        said.append(subprocess.run([sys.executable, "-c", "raise SystemExit(8)"]).returncode)
        open("file", "w").close()
        os.symlink("file", "link")
        said += [attempt(os.chmod, "file", 0o640), _libc.fchmodat(HERE, b"file", 0o600, NO_FOLLOW), oct(os.stat("file").st_mode)]
        said += [_libc.fchmodat(HERE, b"link", 0o600, NO_FOLLOW), ctypes.get_errno() == errno.EOPNOTSUPP]
        said.append(_libc.faccessat(HERE, b"file", os.R_OK | os.W_OK, EFFECTIVE))
        os.dup2(0, 200)
        _libc.closefrom(200)
        return said + [attempt(os.fstat, 200)]
    """)
    assert execute(script).result == ["thread", 7, 8, "None", 0, "0o100600", -1, True, 0, "EBADF"]


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
