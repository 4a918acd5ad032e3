"""Warm interpreters that die, hang or cannot start: each has a true answer, and children are parked again."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client import eventually
from service import HOLD, POLICY, SAY, WARM, host_processes, name_of

pytestmark = pytest.mark.skipif(not WARM, reason="the profiles of cold starts keep no interpreter warm")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise ValueError('is broken')", "import wsgiref: ValueError: is broken"),
        ("import no_such_module", "import wsgiref: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "import wsgiref: SystemExit: 3"),
        ("def broken(:", "import wsgiref: SyntaxError"),
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()", "import wsgiref started threads"),
        ("import os, time\nif os.fork() == 0: time.sleep(600)", "import wsgiref started a process"),
        ("import mmap\nkept = mmap.mmap(-1, 4096)", "import wsgiref made shared memory"),
        ("import os\nos.abort()", "ended while it imported"),
        ("import os\nos._exit(0)", "ended while it imported"),
    ],
)
def test_an_import_that_cannot_be_kept_warm_stops_the_start(refused_start, own_module, source, told):
    said = refused_start(POLICY.read_text() + own_module.profile(source))
    assert told in said and 'profile "own"' in said, said


def test_a_module_that_is_not_there_is_named(refused_start):
    said = refused_start(POLICY.read_text().replace('imports = ["numpy", "pandas"]', 'imports = ["numpy", "panda"]'))
    assert "import panda: ModuleNotFoundError" in said, said


def test_killed_its_jobs_go_on_and_it_is_replaced(start_service):
    """What a job reports is as true as ever when what forked it is gone; only how it ended cannot be told any more."""
    service = start_service()
    [zygote] = service.zygotes()
    leaves = SAY + "import os\ndef main(seconds):\n    time.sleep(seconds)\n    os._exit(3)"
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(service.client.execute, script, args=[3]) for script in (HOLD, HOLD, leaves)]
        eventually(lambda: len(service.holding()) == 3)
        os.kill(zygote, signal.SIGKILL)
        *held, left = (future.result() for future in running)
    assert [answer.result for answer in held] == ["held"] * 2
    assert (left.status, left.code, left.error["ran"]) == (502, "lost", None), left
    assert "died" in left.error["message"] and "retry-after" not in left.headers
    # Children of the dead one that still wait are not used: their ends could not be told.
    for _ in range(6):
        assert service.client.execute(HOLD, args=[0]).result == "held"
    service.settle()
    assert service.zygotes() != [zygote]


def test_the_list_of_processes_shows_a_word_for_its_sources(start_service):
    service = start_service()
    for pid in service.zygotes() + service.parked():
        program, *arguments = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        assert program.startswith("/") and arguments == ["(warm interpreter)"], arguments


def test_killed_while_idle_costs_no_request(start_service):
    service = start_service()
    for _ in range(3):
        [zygote] = service.zygotes()
        os.kill(zygote, signal.SIGKILL)
        eventually(lambda: zygote not in service.zygotes())
        # One that is sent before the death is noticed may be told of it; the next is served.
        eventually(lambda: service.client.execute(HOLD, args=[0]).status == 200)
        service.settle()


@pytest.mark.parametrize("which", ["zygote", "launcher"])
def test_hanging_it_is_replaced_and_no_request_waits_for_ever(start_service, which):
    service = start_service()
    [hung] = service.zygotes() if which == "zygote" else [service.launcher()]
    os.kill(hung, signal.SIGSTOP)
    # Some find a parked child and some do not; some are in the middle of their work.
    with ThreadPoolExecutor(8) as pool:
        answers = [future.result() for future in [pool.submit(service.client.execute, HOLD, args=[0.1]) for _ in range(8)]]
    for answer in answers:
        assert answer.status == 200 and answer.result == "held" or (answer.status, answer.code) in ((503, "unavailable"), (502, "lost")), answer
    eventually(lambda: service.client.execute(HOLD, args=[0]).status == 200, within=60)
    # Others are started beside one that hands out nothing, so that requests need not wait until it is given up.
    eventually(lambda: hung not in service.processes(), within=60)
    service.settle()


def test_parked_children_that_die_are_nobodys_loss(start_service):
    service = start_service()
    for _ in range(5):
        service.settle()
        children = service.parked()
        for child in children:
            os.kill(child, signal.SIGKILL)
        # Dead, whether or not that has been told yet.
        eventually(lambda: not set(children) & set(service.processes()))
        assert service.client.execute(HOLD, args=[0]).result == "held"
    service.settle()


def test_more_requests_than_parked_children_and_slots(start_service):
    service = start_service(supervisor={"slots": 3, "queue": 40, "queue_wait": '"60s"'})
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: service.client.execute(HOLD, args=[0.2]), range(20)))
    assert [answer.result for answer in answers] == ["held"] * 20
    service.settle()


def test_it_is_renewed_on_time_and_goes_on_if_that_fails(start_service, own_module):
    source = "import os\nborn = os.urandom(8).hex()"
    service = start_service(policy=own_module.profile(source, ', renew = "1s"'))
    born = lambda: service.client.execute("import wsgiref\ndef main(): return wsgiref.born", profile="own").result
    first = born()
    eventually(lambda: born() != first)
    own_module.rewrite("raise ValueError('broken since')")
    eventually(lambda: born() and "broken since" in service.log("supervisor"))
    assert born() == born()
    own_module.rewrite(source)
    last = born()
    eventually(lambda: born() != last)


# An import that goes on until a file lies beside the module.
WAITS = "import os, time\nwhile not os.path.exists(os.path.dirname(__file__) + '/go'): time.sleep(0.01)\n"


def test_a_renewal_that_takes_long_holds_nobody_up(start_service, own_module):
    source = "import os\nborn = os.urandom(8).hex()\n"
    service = start_service(policy=own_module.profile(source, ', renew = "1s"'))
    born = lambda: service.client.execute("import wsgiref\ndef main(): return wsgiref.born", profile="own").result
    first = born()
    own_module.rewrite(WAITS + source)

    def stays():
        """What was born while there were the same three: that of the default profile, the one in service and the one that imports. More
        are than are parked, so that the one before is still forked from; and one that has been renewed is gone by then."""
        before = {*service.zygotes()}
        last = [born() for _ in range(8)]
        return last if len(before) == 3 and before == {*service.zygotes()} else None

    last = eventually(stays)
    (own_module.file.parent / "go").write_text("")
    eventually(lambda: born() not in {first, *last})


def test_children_that_were_parked_before_a_renewal_are_replaced_without_a_request(start_service, own_module):
    service = start_service(policy=own_module.profile("", ', renew = "2s"'))
    # Those of the default profile, whose time is not up, and these.
    before = eventually(lambda: (parked := set(service.parked())) and len(parked) == 6 and parked)
    eventually(lambda: len(before & set(service.parked())) == 4)
    eventually(lambda: len(service.parked()) == 6)


def test_profiles_start_side_by_side(start_service, own_module):
    (name, rest) = own_module.profile(WAITS).split("own", 1)
    profiles = f"{name}own{rest}{name}other{rest}"

    def let_go(uid_base):
        """Both import at once: neither would go on without the other."""
        importing = lambda: [pid for pid, uid in host_processes() if uid == uid_base and name_of(pid).startswith("python")]
        eventually(lambda: len(importing()) == 3, within=50)
        (own_module.file.parent / "go").write_text("")

    uid_base = 0x6F000000
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(let_go, uid_base)
        service = start_service(policy=profiles, supervisor={"uid_base": uid_base})
        waiting.result()
    assert service.client.execute("def main(): return 1", profile="other").result == 1
