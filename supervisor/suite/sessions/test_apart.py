"""docs/sessions.md: between cells a session stands still, and no session sees anything of another."""

import pytest

from client import eventually
from session_group import Group
from tongue import SAY


@pytest.fixture
def pair(open_session):
    return open_session(), open_session()


def at_rest(group, service):
    """The CPU time of a group that is stopped: a thread is said to be stopped some microseconds before it lets go of its processor."""
    used = group.cpu()
    assert service.client.execute("def main(): return 1").result == 1
    return used if group.is_frozen() and group.cpu() == used else None


def test_a_session_uses_no_processor_between_its_cells(service, session, open_session):
    """Whatever threads and children it has."""
    session.run(SAY + """
import multiprocessing, os, threading
ticks = []
def spin():
    while True: ticks.append(1) if len(ticks) < 1000 else ticks.clear()
for _ in range(3): threading.Thread(target=spin, daemon=True).start()
if os.fork() == 0: spin()
""")
    group = Group(service, service.holding()[0])
    before = eventually(lambda: at_rest(group, service))
    other = open_session()
    for number in range(50):
        assert other.value(f"sum(range({number}))") == sum(range(number))
        assert service.client.execute("def main(): return 1").result == 1
    assert group.is_frozen() and group.cpu() == before
    assert session.info()["state"] == "idle" and session.interrupt() is False
    assert group.is_frozen() and group.cpu() == before, "who only asks does not wake it"
    # In a cell they go on.
    assert session.value("import time; time.sleep(0.1); threading.active_count()") == 4
    assert group.cpu() > before
    eventually(group.is_frozen)


def test_it_does_not_wake_itself(service, session):
    """Neither by timers, nor by signals that its processes send, nor by what it can write of its group."""
    session.run(SAY + """
import os, signal, threading, time
came = []
signal.signal(signal.SIGALRM, lambda *_: came.append("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
if os.fork() == 0:
    while True:
        os.kill(os.getppid(), signal.SIGCONT)
        time.sleep(0.01)
""")
    group = Group(service, service.holding()[0])
    before = eventually(lambda: at_rest(group, service))
    for _ in range(20):
        service.client.execute("def main(): return 1")
    assert group.is_frozen() and group.cpu() == before


def test_processes_of_others_are_not_seen(pair):
    """Neither in /proc nor by asking for each number."""
    one, other = pair
    look = """
        import os
        def is_there(pid):
            try: os.kill(pid, 0)
            except ProcessLookupError: return False
            except PermissionError: pass
            return True
        own = {os.getpid(), *children}
        [sorted(set(filter(is_there, range(2, 1000))) - own), sorted({int(n) for n in os.listdir('/proc') if n.isdigit()} - own)]
    """
    other.run("import os, time\nchildren = [os.fork() or time.sleep(600) for _ in range(5)]")
    one.run("children = []")
    # The interpreter's copy is there, and shown to nobody.
    for session in pair:
        there, shown = session.value(look)
        assert len(there) == 1 and shown == [], (there, shown)


def test_signals_reach_no_other(pair):
    one, other = pair
    other.run("kept = 1\nimport signal; came = []; signal.signal(signal.SIGUSR1, lambda *_: came.append(1))")
    one.run("""
        import os, signal
        for pid in [-1, *range(2, 3000)]:
            if pid not in (os.getpid(), os.getpgid(0)):
                try: os.kill(pid, signal.SIGUSR1 if pid == -1 else signal.SIGKILL)
                except OSError: pass
    """)
    assert other.value("[kept, came]") == [1, []]


def test_files_memory_and_sockets_are_a_sessions_own(pair):
    one, other = pair
    one.run("""
        import os, socket
        for place in ("/tmp/mark", "/dev/shm/mark", "mark"): open(place, "w").write("x")
        from multiprocessing import shared_memory
        block = shared_memory.SharedMemory("mark2", create=True, size=10)
        listening = socket.socket(socket.AF_UNIX); listening.bind("\\0mark"); listening.listen()
    """)
    seen = other.value("""
        import os, socket
        def reaches():
            try: socket.socket(socket.AF_UNIX).connect("\\0mark")
            except OSError as error: return type(error).__name__
            return "reached"
        [[os.path.exists(place) for place in ("/tmp/mark", "/dev/shm/mark", "mark", "/dev/shm/mark2")], reaches()]
    """)
    assert seen == [[False] * 4, "ConnectionRefusedError"]
    assert other.files() == []


def test_namespaces_and_ids_are_a_sessions_own(service, pair):
    one, other = pair
    spaces = "import os\n[os.readlink(f'/proc/self/ns/{name}') for name in ('pid', 'mnt', 'net', 'ipc', 'uts', 'user')]"
    assert not set(one.value(spaces)) & set(other.value(spaces))
    one.run(SAY)
    first = service.id_of(service.holding()[0])
    other.run(SAY)
    eventually(lambda: len({service.id_of(pid) for pid in service.holding()} - {None}) == 2)
    assert first in {service.id_of(pid) for pid in service.holding()}


def test_a_session_is_not_one_of_jobs(service, session):
    """What a job may see of a session is what it may see of any other job."""
    session.run("open('/tmp/mark', 'w').write('x'); open('/dev/shm/mark', 'w').write('x')")
    script = "import os\ndef main(): return [os.listdir('/tmp'), os.listdir('/dev/shm'), len([n for n in os.listdir('/proc') if n.isdigit()])]"
    seen = service.client.execute(script).result
    assert "mark" not in seen[0] and seen[1] == [] and seen[2] <= 2


def test_random_numbers_and_hashes_are_a_sessions_own(pair):
    draw = "import random, uuid, secrets\n[random.random(), str(uuid.uuid4()), secrets.token_hex(8)]"
    one, other = pair
    assert not set(one.value(draw)) & set(other.value(draw))


