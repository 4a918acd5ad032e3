"""Knobs of the policy that bound what a job uses: each is seen in the job, or in its control group."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from client import eventually
from service import HOLD, WARM, name_of

RUNTIME = """
interpreter = "/usr/bin/python3"
mounts = ["/var/lib/cloister/python/usr:/usr"]
links = { lib = "usr/lib", lib64 = "usr/lib64", bin = "usr/bin" }
"""

POLICY = f"""
[runtime.greeting]{RUNTIME}
environment = {{ GREETING = "hello", EMPTY = "" }}
working_directory = "/tmp/some/where"

[runtime.library]{RUNTIME}
working_directory = "/usr/lib"

[profile.bounded]
extends = "default"
runtime = "greeting"
warm = false
memory = "96MiB"
swap = "32MiB"
cpu_weight = 300
hostname = "bounded.example"
may_lower = []

[profile.bounded.rlimits]
open_files = 100
file_size = "1MiB"
stack = "4MiB"
address_space = "1GiB"
data = "512MiB"
processes = 5
pending_signals = 77
message_queues = "64KiB"

[profile.elsewhere]
extends = "default"
runtime = "library"
warm = false

[profile.kept]
extends = "default"
warm = {{ imports = ["decimal", "fractions"], parked = 2, renew = "1s" }}
"""


@pytest.fixture(scope="module")
def tuned(start_for_module):
    return start_for_module(policy=POLICY)


@pytest.fixture
def run(tuned):
    return lambda script, profile="bounded", **fields: tuned.client.execute(script, profile=profile, **fields)


def test_environment_and_working_directory_are_the_runtimes(run):
    def look():
        import os

        def main():
            open("written", "w").close()
            return [os.getcwd(), sorted(os.listdir()), os.environ["GREETING"], os.environ["EMPTY"], os.environ["HOME"]]

    assert run(look).result == ["/tmp/some/where", ["out", "script.py", "written"], "hello", "", "/tmp"]
    # Nothing of it is left to the next one, and the other runtime's is its own.
    assert run(look).result[1] == ["out", "script.py", "written"]
    elsewhere = "import os\ndef main(): return [os.getcwd(), 'GREETING' in os.environ, os.access('.', os.W_OK)]"
    assert run(elsewhere, profile="elsewhere").result == ["/usr/lib", False, False]


def test_the_host_name_is_the_profiles(run):
    assert run("import os\ndef main(): return os.uname().nodename").result == "bounded.example"


@pytest.mark.layer("cgroup")
def test_swap_and_the_share_of_cpu_time_are_the_groups(tuned, run):
    values = lambda *names: {path.read_text().strip() for name in names for path in tuned.slot_groups(name)}
    with ThreadPoolExecutor(1) as pool:
        # A slot is another profile's as soon as its job has ended.
        job = pool.submit(run, HOLD, args=[4])
        eventually(tuned.holding)
        memory, both, swap = values("memory.limit_in_bytes", "memory.max"), values("memory.memsw.limit_in_bytes"), values("memory.swap.max")
        # A job that has run for long steps back, for a tenth of its share.
        share = values("cpu.shares", "cpu.weight") & {"3072", "300", "307", "30"}
        assert job.result().result == "held"
    # Version 1 counts memory and swap together, version 2 apart; 1024 shares are a weight of 100.
    assert str(96 << 20) in memory
    assert str(128 << 20) in both if both else str(32 << 20) in swap
    assert share


@pytest.mark.layer("cgroup")
def test_a_slot_keeps_no_limit_of_the_profile_that_had_it_before(start_service):
    service = start_service(policy=POLICY, supervisor={"slots": 1})
    run = lambda profile: service.client.execute("def main(): return 1", profile=profile).result
    weights = lambda: {path.read_text().strip() for name in ("cpu.shares", "cpu.weight") for path in service.slot_groups(name)}
    for _ in range(3):
        assert run("bounded") == run("elsewhere") == 1
        # A parked child or a free slot may have any of the two; no other ever appears.
        assert weights() <= {"3072", "300", "1024", "100"}


@pytest.mark.layer("rlimits")
def test_every_limit_of_a_process_is_the_profiles(run):
    def limits():
        import resource

        def main():
            names = "NOFILE FSIZE STACK AS DATA NPROC SIGPENDING MSGQUEUE CORE MEMLOCK NICE RTPRIO".split()
            return {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names}

    mib = 1 << 20
    expected = {"NOFILE": 100, "FSIZE": mib, "STACK": 4 * mib, "AS": 1024 * mib, "DATA": 512 * mib, "NPROC": 5, "SIGPENDING": 77,
                "MSGQUEUE": 64 << 10, "CORE": 0, "MEMLOCK": 0, "NICE": 0, "RTPRIO": 0}
    assert run(limits).result == {name: [value, value] for name, value in expected.items()}


@pytest.mark.layer("rlimits")
def test_limits_of_a_process_are_felt(run):
    def feel():
        import errno
        import mmap
        import os
        import time

        def main():
            felt = {}
            try:
                mmap.mmap(-1, 2 << 30)
            except OSError as error:
                felt["address space"] = errno.errorcode[error.errno]
            children = []
            try:
                while True:
                    child = os.fork()
                    if child == 0:
                        time.sleep(600)
                    children.append(child)
            except OSError as error:
                felt["processes"] = [errno.errorcode[error.errno], len(children)]
            return felt

    assert run(feel).result == {"address space": "ENOMEM", "processes": ["EAGAIN", 4]}


def test_a_request_lowers_only_what_the_profile_lets_it(run):
    answer = run("def main(): return 1", timeout_ms=1000)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert "timeout_ms" in answer.error["message"] and "'bounded'" in answer.error["message"].replace('"', "'")
    assert run("def main(): return 1", profile="elsewhere", timeout_ms=5000).result == 1


def test_what_is_kept_warm_is_the_profiles(tuned, run):
    imported = "import sys\ndef main(): return [name in sys.modules for name in ('decimal', 'fractions', 'sqlite3')]"
    assert run(imported, profile="kept").result == [True, True, False]
    assert run(imported, profile="elsewhere").result[1:] == [False, False]
    parked = lambda: sum(name_of(pid) == "parked" for pid in tuned.processes())
    eventually(lambda: parked() == 2 + (4 if WARM else 0))


def test_a_renewed_interpreter_has_another_layout(run):
    def layout():
        import sys

        def main():
            return id(sys.modules)

    first = run(layout, profile="kept").result
    eventually(lambda: run(layout, profile="kept").result != first, within=60)


def test_jobs_run_as_ids_of_the_policys_range(tuned, run):
    assert run("def main(): return 1", profile="kept").result == 1
    ids = {tuned.id_of(pid) for pid in tuned.processes()} - {None}
    assert ids and all(tuned.uid_base <= uid < tuned.uid_base + 8192 for uid in ids)
