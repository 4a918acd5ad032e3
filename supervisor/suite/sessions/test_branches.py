"""docs/sessions.md, Branches: a session is forked, and what its branches have to themselves."""

import os
import json
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client import eventually
from keys import bearer
from notebook import Session, refused
from service import name_of
from session_group import Group

class Branch(Session):
    """One that came to be by a fork."""

    def __init__(self, origin, told):
        self.http, self.headers, self.opened, self.id = origin.http, origin.headers, told, told["session"]
        self.path = f"/sessions/{self.id}"


def forked(session, count=1):
    """The branches, and what of the session they have not."""
    told = session.ask("POST", "/fork", json={"count": count})
    assert told.status_code == 201, told.text
    told = told.json()
    assert set(told) - {"not_kept"} == {"branches"} and len(told["branches"]) == count
    return [Branch(session, branch) for branch in told["branches"]], told.get("not_kept", [])


def branch_of(session):
    [branch], _ = forked(session)
    return branch


def test_branches_begin_with_all_that_the_session_has_and_go_their_own_ways(session):
    session.run("import numpy, sqlite3, random, ctypes\nbase = sqlite3.connect(':memory:'); base.execute('create table t (n)')\n"
                "random.seed(7); numbers = (n for n in range(100)); next(numbers); block = ctypes.create_string_buffer(b'abc')\ndata = numpy.arange(1000)")
    branches, not_kept = forked(session, 3)
    assert not_kept == []
    for number, branch in enumerate(branches):
        info = branch.info()
        assert (info["branch_of"], info["state"], info["profile"]) == (session.id, "idle", "default") and info["cells"] == session.info()["cells"]
        assert branch.id[:2] == session.id[:2]
        assert branch.value(f"base.execute('insert into t values ({number})'); data[0] = {number} + 5; next(numbers)") == 1
        assert branch.value("block.value.decode()") == "abc" and branch.run("1").body["cell"] == info["cells"] + 3
    for number, branch in enumerate(branches):
        assert branch.value("base.execute('select n from t').fetchall(), int(data[0])") == [[[number]], number + 5]
    assert session.value("base.execute('select n from t').fetchall(), int(data[0]), next(numbers)") == [[], 0, 1]
    drawn = {branch.value("random.random()") for branch in branches}
    assert drawn == {session.value("random.random()")}  # as a copy of the state does
    assert len({branch.value("import os; os.urandom(8).hex()") for branch in branches}) == 3
    assert "branch_of" not in session.info()
    assert {told["session"] for told in session.http.get("/sessions").json()["sessions"]} >= {session.id, *(branch.id for branch in branches)}


def test_a_branch_is_forked_further(session):
    session.run("path = ['root']")
    branch = branch_of(session)
    branch.run("path.append('a'); open('a', 'w').write('1')")
    leaf = branch_of(branch)
    assert leaf.info()["branch_of"] == branch.id
    assert branch.close() == 204
    assert leaf.value("path.append('b'); open('b', 'w').write('2'); path") == ["root", "a", "b"] and leaf.files() == ["a", "b"]
    assert session.value("path") == ["root"] and session.files() == []
    assert session.close() == 204
    assert (leaf.ended(), branch.ended()) == ("root_ended", "closed")


def test_files_are_copied(session):
    session.put("in/data", b"1")
    session.run("import os; os.symlink('in/data', 'link'); os.chmod('in/data', 0o700); os.makedirs('deep/er'); os.chdir('deep')")
    one, other = forked(session, 2)[0]
    assert one.value("import os; os.path.basename(os.getcwd()), os.readlink('../link'), oct(os.stat('../in/data').st_mode & 0o777)") == ["deep", "in/data", "0o700"]
    assert one.value("open('../in/data').read()") == "1"
    one.run("open('../in/data', 'w').write('one'); open('new', 'w').write('x')")
    other.put("in/data", b"other")
    assert (one.get("in/data"), other.get("in/data"), session.get("in/data")) == (b"one", b"other", b"1")
    assert (one.files(), other.files(), session.files()) == (["deep/new", "in/data"], ["in/data"], ["in/data"])
    exported = one.ask("GET", "/export").json()
    assert sorted(file["path"] for file in exported["files"]) == ["deep/new", "in/data"] and len(exported["cells"]) > 1
    own = one.value("import sys; [path for path in sys.path if '.branch-' in path]")
    assert len(own) == 1
    # What a branch leaves of files goes with the next fork.
    assert one.close() == 204
    directory = own[0]
    assert eventually(lambda: branch_of(session).close() == 204 and not session.value(f"os.path.exists({directory!r})"))


def test_files_that_cannot_be_copied_make_no_branch(session):
    session.run("open('big', 'wb').write(bytes(40 << 20))")
    before = len(session.http.get("/sessions").json()["sessions"])
    message = refused_of(session, 422, "exception")
    assert "files of the session are not copied" in message and "No space left" in message
    assert len(session.http.get("/sessions").json()["sessions"]) == before
    session.run("import os; os.unlink('big')")
    assert branch_of(session).value("1") == 1


def refused_of(session, status, code, **fields):
    return refused(session.ask("POST", "/fork", json={"count": 1, **fields}), status, code)


def test_each_is_held_stopped_and_counted_by_a_group_of_its_own(session, service):
    session.run("x = 1")
    one, other = forked(session, 2)[0]
    groups = [Group(service, host_process(service, member)) for member in (session, one, other)]
    assert len({directory for group in groups for directory in group.directories}) == sum(len(group.directories) for group in groups)
    assert all(eventually(group.is_frozen) for group in groups)
    held = one.run("block = bytearray(100 << 20)")
    assert held.status == 200 and held.body["usage"]["memory_peak_bytes"] > 100 << 20
    assert eventually(lambda: one.info()["memory_bytes"] > 100 << 20) and 100 << 20 > max(member.info()["memory_bytes"] for member in (session, other))
    assert one.run("more = bytearray(600 << 20)").error["code"] == "memory_limit"
    assert (one.value("len(block)"), other.value("x"), session.value("x")) == (100 << 20, 1, 1)


def host_process(service, session):
    """The process of a session, by its number on the host. Its checkpoint has the same name."""
    name = session.id[-12:]
    number = session.value(f"import ctypes, os; ctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0); os.getpid()")
    [pid] = [pid for pid in service.processes() if name_of(pid) == name and number_inside(pid) == number]
    return pid


def number_inside(pid):
    [numbers] = re.findall(r"^NSpid:\t(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(numbers.split()[-1])


@pytest.mark.parametrize("code", ["os._exit(1)", "os.kill(os.getpid(), 9)", "import ctypes; ctypes.string_at(0)", "while True: pass"])
def test_what_a_cell_costs_a_branch_costs_nobody_else(session, code):
    session.run("x = 5; import os")
    one, other = forked(session, 2)[0]
    one.run("x = 6")
    assert one.run(code, timeout_ms=500).restored is True
    assert (one.value("x"), other.value("x"), session.value("x")) == (6, 5, 5)
    assert session.run("os._exit(1)").restored is True
    assert (session.value("x"), one.value("x"), other.value("x")) == (5, 6, 5)


def test_cells_of_branches_run_at_once_and_are_interrupted_each(session):
    session.run("import time")
    one, other = forked(session, 2)[0]
    with one.stream("print('here', flush=True)\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    'heeded'") as events:
        assert next(iter(events))[0] == "stdout"
        assert other.value("1 + 1") == 2 and session.value("2 + 2") == 4
        assert not other.interrupt() and one.interrupt()
    assert other.value("3") == 3


def test_what_each_shows_and_prints_reaches_who_sent_its_cell(session):
    branches = forked(session, 3)[0]
    for number, branch in enumerate(branches):
        answer = branch.run(f"display({number}); print('printed', {number}); {number} + 10")
        assert (answer.stdout, answer.result) == (f"printed {number}\n", number + 10)
        assert [shown["text/plain"] for shown in answer.display] == [str(number)]


def test_calls_of_branches_are_returned_to_each(session):
    branches = forked(session, 3)[0]
    waiting = [branch.post(f"from cloister import tools\ntools.a({number})", tools=[{"name": "a"}]) for number, branch in enumerate(branches)]
    assert [[call["args"] for call in stopped.json()["calls"]] for stopped in waiting] == [[[0]], [[1]], [[2]]]
    for number, stopped in reversed(list(enumerate(waiting))):
        returns = {"returns": [{"call": stopped.json()["calls"][0]["call"], "value": number * 10}]}
        assert session.http.post(f"/execute/{stopped.json()['id']}/returns", json=returns).json()["result"] == number * 10


def test_what_a_fork_does_not_keep_is_told(session):
    session.run("import os, threading, time\nthread = threading.Thread(target=threading.Event().wait, name='watcher', daemon=True); thread.start()\n"
                "child = os.fork()\nif not child: time.sleep(600)")
    [branch], not_kept = forked(session)
    assert not_kept == ["the thread watcher", "a child process"]
    assert branch.value("thread.is_alive(), threading.active_count()") == [False, 1]
    assert session.value("thread.is_alive(), os.waitpid(child, os.WNOHANG)") == [True, [0, 0]]


def test_bounds_are_those_of_sessions_and_what_is_wrong_is_told(start_service):
    service = start_service(policy='[profile.few]\nextends = "default"\nsessions = { most = 4 }\n')
    session = Session(service.client, profile="few")
    message = refused_of(session, 429, "overloaded", count=4)
    assert "with 4 more there would be more sessions of the profile \"few\" than its sessions.most for a key, 4, and 1 are there" in message
    assert len(service.client.http.get("/sessions").json()["sessions"]) == 1
    branches, _ = forked(session, 3)
    assert branches[0].close() == 204
    branch_of(session)
    for body, expected in (({"count": 0}, "from 1 to 64"), ({"count": 65}, "from 1 to 64"), ({"n": 1}, "unknown field `n`"), ([], "is an array")):
        assert expected in refused(session.ask("POST", "/fork", json=body), 400, "invalid_request")
    assert session.ask("GET", "/fork").status_code == 405
    assert session.close() == 204
    refused(session.ask("POST", "/fork", json={}), 410, "session_ended")
    assert service.client.http.post(f"/sessions/{'0' * 32}/fork", json={}).status_code == 404
    eventually(lambda: not service.job_processes())


def test_many_branches_leave_nothing(start_service):
    service = start_service(supervisor={"slots": 2})
    for _ in range(3):
        session = Session(service.client)
        session.run("import os, threading; data = bytearray(8 << 20)")
        branches, _ = forked(session, 20)
        for number, branch in enumerate(branches):
            branch.run("os.fork() or __import__('time').sleep(600)" if number % 5 == 0 else "data[0] = 1", timeout_ms=300)
        for branch in branches[::2]:
            assert branch.close() == 204
        assert branch_of(session).value("1") == 1
        assert session.close() == 204
        assert {branch.ended() for branch in branches[1::2]} == {"root_ended"}
    service.settle()


def test_a_killed_process_of_a_session_is_no_end_of_its_branches(session, service):
    session.run("x = 1")
    branch = branch_of(session)
    pid = host_process(service, session)
    eventually(Group(service, pid).is_frozen)
    os.kill(pid, signal.SIGKILL)
    assert branch.value("x") == 1
    assert session.run("x").restored is True and session.value("x") == 1


# What a session says of an order is its own word: here, from a process that has seen the order as soon as its runner, and is quicker.
LIAR = """
import json, os, socket, time
pid, child = os.getpid(), os.fork()
if child == 0:
    line, said = socket.socket(fileno=os.dup(4)), json.dumps({"checkpoint": True, "pid": %s}).encode()
    while True:
        try:
            if b'"branch"' in line.recv(4096, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                os.write(3, b"R" + len(said).to_bytes(8, "big") + said)
                time.sleep(600)
        except BlockingIOError:
            pass
"""


@pytest.mark.parametrize("pid", ["1", "pid", "os.getpid()", "2 ** 31 - 1", "-1", "'x'", "{}"])
def test_a_wrong_word_of_a_session_costs_itself_alone(session, open_session, pid):
    other = open_session()
    other.run("x = 1")
    assert session.run(LIAR % pid).status == 200
    told = session.ask("POST", "/fork", json={})
    # It has none, or one that it has made of another of its processes, or was not quick enough: what it is told from then on is its own to believe.
    assert told.status_code == 201 or refused(told, 422, "killed"), told.text
    assert session.post("1").status_code in (200, 410, 422) and session.close() in (204, 410)
    assert branch_of(other).value("x") == other.value("x") == 1


def test_a_session_cannot_write_where_it_is_written_to(session):
    """The descriptor that orders come by is a socket, one way: nothing of a session's waits in it to be read."""
    assert session.run("import os; os.write(4, b'x')").error["exception"] == "BrokenPipeError"
    assert session.value("""
        import array, socket
        line = socket.socket(fileno=os.dup(4))
        tried = []
        for name, send in (("message", lambda: line.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1]))])),
                           ("connect", lambda: line.connect("\\0x")), ("listen", line.listen), ("bind", lambda: line.bind("/tmp/bound"))):
            try:
                send()
                tried.append(name)
            except OSError as error:
                pass
        tried
    """) in ([], ["bind"])
    assert branch_of(session).value("1") == 1


def test_a_session_that_may_open_nothing_more_is_told_so(session):
    session.run("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (7, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))")
    assert "not forked" in refused_of(session, 422, "exception")
    session.run("resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))")
    assert branch_of(session).value("1") == 1


def test_a_branch_reaches_into_no_other(session):
    """Signals reach it: they are one id in one space of processes (docs/sessions.md). Its memory and what it is written are its own."""
    session.run("import ctypes, os; secret = ctypes.create_string_buffer(b'of the session'); where = ctypes.addressof(secret); pid = os.getpid()")
    branch = branch_of(session)
    session.run("secret.value = b'changed since'")
    assert branch.value("secret.value.decode()") == "of the session"
    tried = branch.value("""
        import glob
        tried = []
        for path in (f"/proc/{pid}/mem", f"/proc/{pid}/fd/4", f"/proc/{pid}/cwd", f"/proc/{pid}/environ", f"/proc/{pid}/root"):
            try:
                os.stat(path + "/") if path.endswith(("cwd", "root")) else open(path, "r+b" if path.endswith("mem") else "rb").close()
                tried.append(path)
            except OSError:
                pass
        tried
    """)
    assert tried == []


def test_memory_that_a_branch_has_left_shared_is_still_counted(start_service):
    """Pages of a file that it wrote and others have, in the directory of all: they are charged to its group for as long as they are there."""
    service = start_service(supervisor={"slots": 2})
    session = Session(service.client)
    session.run("import mmap, os; shared = mmap.mmap(-1, 40 << 20); x = 1")
    branch = branch_of(session)
    assert branch.run("shared[:] = bytes([1]) * len(shared)").status == 200
    assert eventually(lambda: branch.info()["memory_bytes"] > 40 << 20)
    before = session.info()["memory_bytes"]
    assert before < 40 << 20 and branch.close() == 204
    assert eventually(lambda: session.info()["memory_bytes"] > 40 << 20), (before, session.info())
    # Its group is nobody's until then.
    others = [Session(service.client) for _ in range(4)]
    assert all(other.run("len(bytearray(480 << 20))").result == 480 << 20 for other in others)
    session.run("shared.close()")
    assert eventually(lambda: session.info()["memory_bytes"] < 40 << 20)


def test_branches_that_are_open_keep_their_files_when_others_are_forked(session):
    one = branch_of(session)
    one.put("of/one", b"1")
    other = branch_of(session)
    other.put("of/other", b"2")
    leaf = branch_of(one)
    assert other.close() == 204
    for forked_again in (session, leaf, one):
        branch_of(forked_again)
    refused_by = one.run("open('big', 'wb').write(bytes(40 << 20))")
    assert refused_by.status == 200 and "not copied" in refused_of(one, 422, "exception", count=2)
    assert (one.get("of/one"), leaf.get("of/one")) == (b"1", b"1")
    assert one.files() == ["big", "of/one"] and leaf.files() == ["of/one"]


def test_a_branch_that_is_used_keeps_what_it_came_from(start_service):
    service = start_service(policy='[profile.idle]\nextends = "default"\nsessions = { idle = "2s" }\n')
    session = Session(service.client, profile="idle")
    branch = branch_of(session)
    waiting = branch.post("import time\nfor _ in range(30): time.sleep(0.1)\n'went on'", timeout_ms=20_000)
    assert waiting.json()["result"] == "went on", waiting.text
    assert eventually(lambda: branch.ended()) in ("idle", "root_ended")
    assert eventually(lambda: session.ended()) == "idle"


def test_a_session_that_has_set_a_timeout_for_all_sockets_is_forked(session):
    session.run("import socket; socket.setdefaulttimeout(0.001)")
    assert branch_of(session).value("socket.getdefaulttimeout()") == 0.001
    session.run("socket.setdefaulttimeout(0)")
    assert branch_of(session).value("socket.getdefaulttimeout()") == 0


def test_loops_of_branches_wake_themselves_alone(session):
    session.run("import asyncio, time\nawait asyncio.to_thread(lambda: 1)")
    branches = forked(session, 2)[0]
    code = "import asyncio\nsum([await asyncio.to_thread(lambda: 1) for _ in range(300)])"
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda each: each.run(code, timeout_ms=30_000).result, (*branches, session))) == [300, 300, 300]


def test_files_are_as_they_were_when_the_session_was_forked(session):
    session.run("import os; open('a', 'w').write('before')")
    branches = forked(session, 3)[0]
    session.run("open('a', 'w').write('after')")
    assert {branch.get("a") for branch in branches} == {b"before"} and session.get("a") == b"after"


def test_whether_a_descriptor_of_all_branches_blocks_is_nothing_to_the_supervisor(session, open_session):
    """The end that a session is written to by is one that a branch may have a copy of, and with it the flags."""
    session.run("import fcntl, os; keep = os.dup(4)")
    branch = branch_of(session)
    with branch.stream("print('here', flush=True)\nwhile True: fcntl.fcntl(keep, fcntl.F_SETFL, 0)") as events:
        next(iter(events))
        for _ in range(5):
            assert session.run("os._exit(1)").restored is True
        assert open_session().value("1 + 1") == 2
        assert branch.interrupt()


SAYS_ON = """
import select
begun, begin = os.pipe()
for _ in range(15):
    if not os.fork():
        os.write(begin, b"1")
        while True: os.write(keep, bytes(1 << 16))
said = 0
while said < 15: said += len(os.read(begun, 15))
# All wait until somebody reads.
while select.select([], [keep], [], 0)[1]: pass
print("here", flush=True)
time.sleep(600)
"""


def test_what_others_go_on_saying_in_the_place_of_a_session_ends_it(session, open_session):
    session.run("import os, time; keep = os.dup(3)")
    branch = branch_of(session)
    with branch.stream(SAYS_ON) as events:
        next(iter(events))
        # Where they are slow to write again it goes on from its checkpoint, to the next cell.
        assert eventually(lambda: session.post("os._exit(1)").status_code == 410)
        assert open_session().value("1 + 1") == 2
    assert eventually(lambda: session.ended()) == "crashed" and branch.ended() == "root_ended"


def test_closed_branches_count_for_as_long_as_others_have_memory_of_theirs(start_service):
    service = start_service(policy='[profile.few]\nextends = "default"\nsessions = { most = 6 }\n')
    session = Session(service.client, profile="few")
    session.run("import mmap; part = 8 << 20; shared = mmap.mmap(-1, part * 8)")
    for number in range(5):
        branch = branch_of(session)
        branch.run(f"shared[part * {number}:part * {number + 1}] = bytes([1]) * part")
        assert branch.close() == 204
    assert eventually(lambda: "6 are there, 5 of them closed branches" in refused_of_now(session))
    session.run("shared.close()")
    assert eventually(lambda: session.ask("POST", "/fork", json={"count": 5}).status_code == 201)


def refused_of_now(session):
    """Why it is not forked; nothing if it is, and the branch is closed then."""
    told = session.ask("POST", "/fork", json={"count": 1})
    if told.status_code == 201:
        Branch(session, told.json()["branches"][0]).close()
        return ""
    return refused(told, 429, "overloaded")


def test_memory_that_branches_have_left_costs_nobody_elses_session(start_service, keys):
    ada, bob = bearer(keys("new", "ada")), bearer(keys("new", "bob"))
    service = start_service(gateway_options=["--keys", keys.path], supervisor={"sessions": '16\nsessions_memory = "300MiB"'})
    other = Session(service.client, headers=bob)
    other.run("x = 1")
    session = Session(service.client, headers=ada)
    session.run("import mmap; part = 100 << 20; shared = mmap.mmap(-1, 2 * part)")
    for number in range(2):
        branch = branch_of(session)
        branch.run(f"shared[part * {number}:part * {number + 1}] = bytes([1]) * part")
        assert branch.close() == 204
    assert eventually(lambda: session.info()["memory_bytes"] > 200 << 20)
    branch = branch_of(session)
    with branch.stream("import time\nprint('here', flush=True)\ntime.sleep(60)") as events:
        next(iter(events))
        session.post("block = bytearray(150 << 20)")
        assert eventually(lambda: session.ended()) == "memory"
    assert branch.ended() == "root_ended" and other.value("x") == 1


def test_branches_that_are_closed_while_they_are_made_cost_nothing_else(start_service):
    service = start_service()
    session = Session(service.client)
    session.run("open('a', 'w').write('1'); x = 1")
    close = lambda told: session.http.delete(f"/sessions/{told['session']}").status_code
    with ThreadPoolExecutor() as pool:
        for _ in range(6):
            fork = pool.submit(session.ask, "POST", "/fork", json={"count": 12})
            while not fork.done():
                for told in session.http.get("/sessions").json()["sessions"]:
                    assert told["session"] == session.id or close(told) in (204, 404, 410)
            told = fork.result()
            assert told.status_code == 201 or refused(told, 422, "killed")
            assert session.value("x") == 1
    for told in session.http.get("/sessions").json()["sessions"]:
        assert told["session"] == session.id or close(told) == 204
    branch = branch_of(session)
    assert eventually(lambda: branch_of(session).close() == 204 and len(session.value("import os; [name for name in os.listdir('.') if name.startswith('.branch-')]")) <= 3)
    assert branch.get("a") == b"1" and session.close() == 204
    service.settle()


def test_a_session_and_its_branch_are_forked_at_once(session):
    session.run("open('a', 'w').write('0')")
    branch = branch_of(session)
    branch.run("open('a', 'w').write('1')")
    with ThreadPoolExecutor() as pool:
        for _ in range(5):
            ofs = list(pool.map(lambda of: forked(of, 3)[0], (session, branch)))
            for content, made in zip((b"0", b"1"), ofs):
                assert all(one.get("a") == content for one in made)
            assert all(one.close() == 204 for made in ofs for one in made)


def test_who_leaves_or_closes_during_a_fork_leaves_nothing(start_service):
    service = start_service()
    host, port = service.address.split(":")
    for closes in (False, True):
        session = Session(service.client)
        session.run("data = bytearray(8 << 20)")
        body = json.dumps({"count": 60}).encode()
        head = f"POST {session.path}/fork HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(head.encode() + body)
            eventually(lambda: len(session.http.get("/sessions").json()["sessions"]) > 1)
            if closes:
                assert session.close() == 204
        eventually(lambda: len(session.http.get("/sessions").json()["sessions"]) == (0 if closes else 1))
        if not closes:
            assert session.value("len(data)") == 8 << 20 and session.close() == 204
        service.settle()


def test_a_directory_that_is_named_like_one_of_a_branch_is_a_directory(session):
    session.put(".branch-x/a", b"1")
    assert session.files() == [".branch-x/a"] and branch_of(session).get(".branch-x/a") == b"1"


def test_what_the_kernel_holds_for_a_closed_branch_is_counted(session):
    """What it has sent into sockets that others of its session have is charged to its group, as memory of no process."""
    session.run("import socket; pairs = [socket.socketpair() for _ in range(60)]\nfor pair in pairs:\n    for end in pair: end.setblocking(False)")
    branch = branch_of(session)
    sent = branch.value("""
        sent = 0
        for end in (end for pair in pairs for end in pair):
            try:
                while True: sent += end.send(bytes(4096))
            except BlockingIOError:
                pass
        sent
    """)
    assert sent > 8 << 20 and eventually(lambda: branch.info()["memory_bytes"] > sent)
    before = session.info()["memory_bytes"]
    assert branch.close() == 204
    assert eventually(lambda: session.info()["memory_bytes"] > before + sent)
    session.run("for pair in pairs:\n    for end in pair: end.close()")
    assert eventually(lambda: session.info()["memory_bytes"] < before + (4 << 20))


def test_files_that_closed_branches_have_left_are_no_room_for_others(start_service):
    service = start_service(policy='[profile.few]\nextends = "default"\nsessions = { most = 6 }\n')
    session = Session(service.client, profile="few")
    for _ in range(3):
        branches = forked(session, 5)[0]
        for branch in branches:
            branch.put("file", bytes(6 << 20))
        assert all(branch.close() == 204 for branch in branches)


def test_a_session_that_stands_in_no_directory_is_forked(session):
    session.run("import os, tempfile; os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())")
    branch = branch_of(session)
    assert branch.value("import os; os.getcwd()").endswith(branch.id)


# Has what is handed for a branch once more, or alone, as whoever runs the session may.
KEEPS = """
import os, _socket
kept, real, refuses = [], _socket.socket, False
class Keeper(real):
    def recvmsg(self, *how):
        data, told, *rest = super().recvmsg(*how)
        ends = [int.from_bytes(given[at:at + 4], "little") for _, _, given in told for at in range(0, len(given), 4)]
        kept.append(ends if refuses else [os.dup(end) for end in ends])
        return data, [] if refuses else told, *rest
_socket.socket = Keeper
"""


@pytest.mark.parametrize("refuses", [False, True], ids=["closed", "refused"])
@pytest.mark.parametrize("end", range(5))
def test_branches_count_for_as_long_as_others_have_what_they_were_handed(start_service, refuses, end):
    """Pipes and sockets are the supervisor's, by the kernel's count, whoever has an end of them."""
    service = start_service(policy='[profile.few]\nextends = "default"\nsessions = { most = 4 }\n')
    session = Session(service.client, profile="few")
    session.run(KEEPS)
    session.run(f"refuses = {refuses}")
    for _ in range(3):
        if refuses:
            assert "too many descriptors" in refused_of(session, 422, "exception")
        else:
            assert branch_of(session).close() == 204
    session.run(f"for ends in kept:\n    for end in ends[:{end}] + ends[{end + 1}:]: os.close(end)\nlast = [ends[{end}] for ends in kept]; _socket.socket = real")
    assert eventually(lambda: "4 are there, 3 of them closed branches of which others still have memory or descriptors" in refused_of_now(session))
    session.run("for end in last: os.close(end)")
    assert eventually(lambda: session.ask("POST", "/fork", json={"count": 3}).status_code == 201)


# In the place of a runner: is at rest without a copy, and says of the next order that it was not carried out, without having read it.
READS_NOTHING = """
import json, os, select, time
def say(tag, body): os.write(3, tag + len(body).to_bytes(8, "big") + body)
say(b"R", b"null")
say(b"K", json.dumps({"checkpoint": False, "why": "none", "threads": [], "count": 0, "native": 0, "children": 0}).encode())
select.select([4], [], [])
say(b"E", json.dumps({"code": "exception", "message": "no"}).encode())
time.sleep(60)
"""


def test_what_was_handed_over_and_not_taken_is_taken_back(session):
    """The kernel counts descriptors on their way as the supervisor's, who could soon send none to anybody: ETOOMANYREFS, unix(7)."""
    session.run(KEEPS)
    branch = branch_of(session)
    session.run("_socket.socket = real")
    assert branch.run(READS_NOTHING).status == 200
    assert branch.ask("POST", "/fork", json={}).status_code == 410
    assert session.value("""
        import socket
        try:
            told = socket.socket(fileno=kept[0][4]).recvmsg(4096, socket.CMSG_SPACE(80), socket.MSG_DONTWAIT)
        except BlockingIOError:
            told = None
        repr(told)
    """) == "None"


def test_what_a_session_prints_can_be_opened_to_write_alone(session):
    """Who reads from a pipe keeps it, and is not seen by who reads from it too."""
    assert session.value("""
        import os
        tried = []
        for end in 1, 2:
            for how in os.O_RDONLY, os.O_RDWR, os.O_WRONLY:
                try:
                    os.close(os.open(f"/proc/self/fd/{end}", how | os.O_NONBLOCK))
                    tried.append([end, how])
                except PermissionError:
                    pass
        tried
    """) == [[1, os.O_WRONLY], [2, os.O_WRONLY]]
    assert session.run("print('x', file=open('/dev/stdout', 'w'))").stdout == "x\n"
