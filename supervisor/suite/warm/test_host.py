"""Nothing of the host that an import found out ahead is remembered in a job: not its name, nor that of its domain, nor what
only a host's `/proc` tells. What an import wrote is nobody's.
"""

import sys
from pathlib import Path

import pytest

import scientific as numeric
from client import eventually
from facts import compared, facts

# Starts a program on a host of these names.
ELSEWHERE = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x04000000) == 0
socket.sethostname("zz-real-host-name")
assert libc.setdomainname(b"zz-real-domain", 14) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""

# A module of an operator's own, imported ahead, that asks in every way that Python has.
ASKS = """
import getpass, locale, os, pathlib, platform, re, socket, sysconfig, tempfile, uuid
def tell(ask):
    try:
        return ask()
    except Exception as error:
        return error
def kernel():
    return [path.read_bytes() for path in map(pathlib.Path, ("/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname")) if path.exists()]
told = [tell(ask) for ask in (platform.node, platform.uname, platform.platform, socket.gethostname, socket.getfqdn, os.uname, uuid.getnode, uuid.uuid1,
                              getpass.getuser, tempfile.gettempdir, locale.getlocale, sysconfig.get_platform, kernel)]
"""


def look():
    import ctypes
    import platform
    import re
    import socket

    def main():
        pattern, found = re.compile(rb"zz-rea[l]-(?:hos[t]|doma[i]n)[-\\w]*|z\0z\0-\0r\0e\0a\0[l]\0"), []
        with open("/proc/self/maps") as maps:
            ranges = [line.split(maxsplit=5) for line in maps]
        for place, access, _, _, _, *name in ranges:
            if "r" not in access or name[:1] and name[0].startswith("[v"):
                continue
            start, end = (int(address, 16) for address in place.split("-"))
            if end - start > 256 << 20:
                continue
            for at in range(start, end, 1 << 20):
                # A little of the next, for a name may lie across.
                part = ctypes.string_at(at, min((1 << 20) + 64, end - at))
                found += [(*name, part[max(0, match.start() - 40) : match.end()].decode("latin-1")) for match in pattern.finditer(part)]
        domain = ctypes.create_string_buffer(65)
        assert ctypes.CDLL(None).getdomainname(domain, 65) == 0
        return {"node": platform.node(), "uname": platform.uname().node, "socket": socket.gethostname(), "domain": domain.value.decode(), "found": found[:5]}


def test_no_job_remembers_the_hosts_name(start_service, own_module):
    service = start_service(policy=own_module.profile(ASKS), under=(sys.executable, "-c", ELSEWHERE))
    for profile in ("own", "default"):
        for _ in range(3):
            told = service.client.execute(look, profile=profile).result
            assert told == {"node": "cloister", "uname": "cloister", "socket": "cloister", "domain": "(none)", "found": []}


# A module that looks where a job would find nothing, and writes wherever it can.
PLACED = """
import getpass, os, pathlib, pwd, tempfile, time, uuid
def tell(ask):
    try:
        return ask()
    except Exception as error:
        return type(error).__name__
PATHS = ["/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/uptime", "/proc/version", "/proc/loadavg", "/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/hostname",
         "/proc/sys/kernel/osrelease", "/proc/cmdline", "/proc/mounts", "/etc/hostname", "/etc/machine-id", "/etc/localtime", "/etc/os-release", "/sys", "/run", "/dev/tty"]
WRITTEN = ["/tmp", "/dev/shm", os.path.expanduser("~/.cache"), tempfile.gettempdir()]
found = {
    "paths": [path for path in PATHS if os.path.exists(path)], "user": tell(getpass.getuser), "account": tell(lambda: pwd.getpwuid(os.getuid()).pw_name),
    "home": tell(lambda: str(pathlib.Path.home())), "directory": os.getcwd(), "temporary": tempfile.gettempdir(), "zone": time.tzname,
    # But for those by which libraries are kept from starting threads while they are imported.
    "environment": sorted(set(os.environ) - {"LC_CTYPE", "NUMEXPR_NUM_THREADS", "JE_ARROW_MALLOC_CONF", "_RJEM_MALLOC_CONF"}),
}
if os.getuid() == 0:
    before = [sorted(os.listdir(place)) for place in ("/tmp", "/dev/shm")]
    token = uuid.uuid4().hex
    for place in WRITTEN:
        os.makedirs(place, exist_ok=True)
        pathlib.Path(place, "marker-" + token).write_text(token)
    refused = [tell(lambda: pathlib.Path(place, "marker").write_text("x")) for place in ("/", "/usr", "/etc", "/dev", "/lower", "/lower/user", "/cell", "/proc")]
    filled = tell(lambda: pathlib.Path("/tmp/large").write_bytes(bytes(64 << 20)))
    pathlib.Path("/tmp/large").unlink(missing_ok=True)
"""


def placed():
    import importlib
    import os
    import wsgiref

    def main():
        first = {name: getattr(wsgiref, name) for name in ("before", "token", "refused", "filled", "found")}
        own = [sorted(os.listdir(place)) for place in ("/tmp", "/dev/shm")]
        return {"zygote": first, "own": own, "job": importlib.reload(wsgiref).found}


@pytest.fixture
def other(own_module):
    """The profile of another with the same module, and what is the same of both."""
    return own_module.profile(PLACED, options=', renew = "1s"') + own_module.profile(PLACED).replace("[profile.own]", "[profile.other]")


def test_an_import_finds_what_a_job_would_and_what_it_writes_is_nobodys(start_service, other):
    service = start_service(policy=other)
    ask = lambda profile: service.client.execute(placed, profile=profile).result
    told = [ask("own"), ask("other"), ask("own")]
    first = told[0]["zygote"]["token"]
    # The next zygote of the same profile, too.
    eventually(lambda: (told.append(ask("own")) or told[-1]["zygote"]["token"]) != first)
    for job in told:
        assert job["own"][1] == [] and set(job["own"][0]) <= {"out", "script.py"}, "what an import wrote is in a job"
        assert job["zygote"]["before"] == [[], []], "what an import wrote is in another zygote"
        assert job["zygote"]["found"] == job["job"] and job["job"]["paths"] == []
        assert set(job["zygote"]["refused"]) <= {"OSError", "PermissionError", "FileNotFoundError"}, job["zygote"]
        assert job["zygote"]["filled"] == "OSError"
    assert len({job["zygote"]["token"] for job in told}) > 2


# Modules that look at the machine, the process or the time when they are imported, or when they are first used.
LOOKING = ["asyncio", "concurrent.futures", "getpass", "locale", "logging", "mimetypes", "multiprocessing", "numpy", "pandas", "platform", "random", "socket",
           "ssl", "tempfile", "uuid", "zoneinfo"]


# Of a zygote for good, and told in docs/warm-pool.md: a name drawn for a semaphore that is gone again; the day of the import in
# a text that is put into generated C; what the import system looks up again when the search path is another; and the id of the
# process by which what draws names knows that it was forked.
KEPT = {"joblib._multiprocessing_helpers.name", "joblib._multiprocessing_helpers._rand._rng_pid", "numpy.f2py.rules.module_rules['modulebody']", "mpl_toolkits.__path__._last_parent_path[]"}


def nothing_is_remembered(service, modules):
    warm, cold = ([facts(service.client, modules, profile=name) for _ in range(2)] for name in ("ahead", "cold"))
    assert min(map(len, (*warm, *cold))) > 10_000, "little was looked at"
    remembered, different = compared(warm, cold)
    assert remembered.keys() | different.keys() <= KEPT, {path: values for path, values in {**remembered, **different}.items() if path not in KEPT}


def imported_ahead(modules):
    return f'{{ imports = {modules}, parked = 1 }}'.replace("'", '"')


def test_modules_remember_nothing_that_a_cold_job_would_not_find(start_service):
    profile = '[profile.{}]\nextends = "default"\nmemory = "2GiB"\nwall_time = "60s"\ncpu_time = "60s"\nwarm = {}\n'
    service = start_service(policy=profile.format("ahead", imported_ahead(LOOKING)) + profile.format("cold", "false"), warm=False)
    nothing_is_remembered(service, LOOKING)


# The same of libraries that the runtime lacks.
NUMERIC = ["joblib", "matplotlib.font_manager", "matplotlib.pyplot", "openpyxl", "PIL.Image", "scipy.linalg", "scipy.optimize", "scipy.stats", "sklearn.ensemble",
           "sklearn.linear_model"]


def test_numeric_libraries_remember_nothing_either(start_service):
    service = start_service(policy=numeric.profile("ahead", warm=imported_ahead(NUMERIC)) + numeric.profile("cold"), warm=False)
    nothing_is_remembered(service, NUMERIC)


def test_a_small_stack_is_a_jobs_and_no_hindrance_to_its_zygote(start_service):
    policy = '[profile.small]\nextends = "default"\nrlimits.stack = "512KiB"\nwarm = { parked = 1 }\n'
    service = start_service(policy=policy, warm=False)
    answer = service.client.execute("import resource\ndef main(): return resource.getrlimit(resource.RLIMIT_STACK)", profile="small")
    assert answer.result == [512 << 10, 512 << 10], answer


def test_memory_is_laid_out_anew_but_for_what_nobody_looks_at_of_libraries(start_service):
    """Of 570 mappings; most of OpenBLAS is code for other processors."""
    service = start_service(warm=True)
    service.settle()
    maps = Path(f"/proc/{service.parked()[0]}/maps").read_text().splitlines()
    assert len(maps) < 100, maps
    of_file = sum(int(end, 16) - int(start, 16) for start, end in (line.split()[0].split("-") for line in maps if "openblas" in line and " r-xp " in line))
    assert of_file > 8 << 20, maps
