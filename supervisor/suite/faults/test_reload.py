"""SIGHUP: the policy is swapped whole or not at all, and nobody who sends requests meanwhile notices."""

import hashlib
import itertools
import re
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx

from client import eventually
from service import SAY, WARM

RELOADS = 50
REQUESTS = 2000 if WARM else 400
PARKED = 2

# What two policies differ in, as a job sees it: the host name, the environment and the size of /tmp.
LOOK = """
import os
def main():
    tmp = os.statvfs("/tmp")
    return [os.uname().nodename, os.environ["SIDE"], tmp.f_blocks * tmp.f_frsize >> 20]
"""
# The same, once a gate is open: a file, in a directory that every job sees, into which the test writes. It is there before, for
# what a job did not find there it does not find later.
GATES = ["out", "one", "many", "few"]
WAIT = SAY + LOOK.replace("import os", "import os, time").replace("main():", "main(gate):\n    while not open('/gates/' + gate).read(): time.sleep(0.01)")


def side(service, name, **changes):
    """The text of a policy whose jobs can tell that they run under it; interpreters without imports start quickly."""
    gates(service).mkdir(exist_ok=True)
    for gate in GATES:
        (gates(service) / gate).touch()
    text = service.policy.read_text().replace('imports = ["numpy", "pandas"], parked = 4', f"imports = [], parked = {PARKED}")
    values = {"hostname": f'"{name}"', "environment": f'{{ SIDE = "{name}" }}', "tmp": f'"{16 + ord(name[-1]) % 16}MiB"',
              "wall_time": '"100s"', "read_only": f'["{gates(service)}:/gates"]', **changes}
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^{key} += [^#\n]*", f"{key} = {value} ", text, count=1)
        assert count == 1, key
    return text


def gates(service):
    return service.directory / "gates"


def open_gate(service, name):
    (gates(service) / name).write_text("open")


def seen(name):
    return [name, name, 16 + ord(name[-1]) % 16]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def write(service, text):
    """As editors and configuration management do: another file takes the name."""
    new = service.policy.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o644)
    new.rename(service.policy)


def ready(service):
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(service.socket)), base_url="http://supervisor") as http:
        reply = http.get("/readyz")
    assert reply.status_code == 200, reply.text
    return reply.json()


def reload(service, text):
    """Put a policy in force and wait until it is."""
    write(service, text)
    service.supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: ready(service) == {"status": "ok", "policy": digest(text)}, within=120)


def refuse(service, text, why):
    """Try to put a policy in force that must be refused, and wait until it is."""
    before = ready(service)["policy"]
    write(service, text)
    service.supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: why in ready(service).get("reload", {}).get("refused", ""), within=120)
    assert ready(service)["policy"] == before


def test_a_change_is_read_without_a_signal_where_it_is_asked_for(start_service):
    """As a ConfigMap changes: the file is a link by way of another, which is exchanged."""
    service = start_service(supervisor_options=["--drain-notice", "0s", "--reload-on-change"])
    text, volume = service.policy.read_text(), service.policy.parent

    def put(number, text):
        version = volume / f"..{number}"
        version.mkdir()
        (version / "policy.toml").write_text(text)
        (volume / "..new").symlink_to(version.name)
        (volume / "..new").rename(volume / "..data")

    put(1, text)
    service.policy.unlink()
    service.policy.symlink_to("..data/policy.toml")
    put(2, text + "# of another day\n")
    eventually(lambda: ready(service) == {"status": "ok", "policy": digest(text + "# of another day\n")}, within=120)
    put(3, text + "[profile.")
    eventually(lambda: "mistakes" in ready(service).get("reload", {}).get("refused", ""), within=120)
    assert service.client.execute("def main(): return 1").result == 1


def test_no_request_is_lost_or_runs_under_a_mixture(start_service):
    service = start_service(supervisor={"slots": 4, "queue": 128, "queue_wait": '"120s"'})
    sides = {name: side(service, name) for name in ("side-a", "side-b")}
    digests = {digest(text): name for name, text in sides.items()}
    reload(service, sides["side-a"])
    done = threading.Event()

    told = []

    def ask():
        while not done.is_set():
            answer = service.client.execute(LOOK, headers={"X-Cloister-Explain": "1"})
            policy = re.match(r"policy=(\w+);", answer.headers["x-cloister-explain"])[1]
            assert answer.result == seen(digests[policy]), answer
            told.append(digests[policy])

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask) for _ in range(8)]
        try:
            for number in itertools.count():
                if number >= RELOADS and len(told) >= REQUESTS:
                    break
                if number % 10 == 5:
                    refuse(service, sides["side-a"] + "\nmemroy = 1\n", "mistakes")
                reload(service, sides["side-b" if number % 2 == 0 else "side-a"])
                assert not [asker for asker in asking if asker.done()], "a client met an answer that it did not expect"
        finally:
            done.set()
        for asker in asking:
            asker.result()
    assert {"side-a", "side-b"} == set(told)


def test_running_jobs_keep_the_old_policy_and_new_ones_get_the_new(start_service):
    service = start_service()
    reload(service, side(service, "old"))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(service.client.execute, WAIT, args=["out"])
        eventually(lambda: service.holding())
        reload(service, side(service, "new"))
        assert service.client.execute(LOOK).result == seen("new")
        open_gate(service, "out")
        assert running.result().result == seen("old")
    # The old launcher goes with the last job that it had.
    eventually(lambda: len(launchers(service)) == 1)


def launchers(service):
    """Processes that are root of a launcher's namespaces and their first: launchers, not zygotes or inits."""
    return [pid for pid in service.processes() if service.id_of(pid) == service.uid_base and inner_pid(pid) == ["1"]]


def inner_pid(pid):
    """A process's id in the namespace below the host's."""
    try:
        with open(f"/proc/{pid}/status") as status:
            return next(line.split()[2:3] for line in status if line.startswith("NSpid:"))
    except OSError:
        return None


def test_profiles_that_did_not_change_keep_their_processes(start_service):
    other = '\n[profile.other]\nextends = "default"\nwarm = false\nhostname = "{}"\n'
    service = start_service(policy=other.format("one"))
    before = set(launchers(service))
    assert len(before) == 2
    text = service.policy.read_text()
    reload(service, text + "\n# nothing but this line\n")
    assert set(launchers(service)) == before
    reload(service, text.replace(other.format("one"), other.format("two")))
    eventually(lambda: len(launchers(service)) == 2)
    kept = set(launchers(service)) & before
    assert len(kept) == 1
    look = "import os\ndef main(): return os.uname().nodename"
    assert service.client.execute(look, profile="other").result == "two"
    assert service.client.execute(look).result == "cloister"
    # Profiles come and go.
    reload(service, text.replace(other.format("one"), ""))
    assert service.client.execute(look, profile="other").status == 400
    eventually(lambda: set(launchers(service)) == kept)
    reload(service, text)
    assert service.client.execute(look, profile="other").result == "one"


def test_what_is_refused_changes_nothing(start_service):
    service = start_service()
    good = side(service, "good")
    reload(service, good)
    before = eventually(lambda: len(now := set(launchers(service))) == 1 and now)
    refuse(service, good + "\n[profile.", "mistakes")
    assert "policy.toml:" in service.log("supervisor") and "reload refused" in service.log("supervisor")
    broken = re.sub(r"(?m)^warm = .*", 'warm = { imports = ["no_such_module"] }', good)
    refuse(service, broken, "could not be started")
    assert "no_such_module" in service.log("supervisor") and "no_such_module" not in str(ready(service))
    service.policy.unlink()
    service.supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: "mistakes" in ready(service).get("reload", {}).get("refused", ""))
    write(service, good)
    service.policy.chmod(0o666)
    service.supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: "may be written by others" in service.log("supervisor"))
    assert service.client.execute(LOOK).result == seen("good")
    assert set(launchers(service)) == before
    # What was refused is forgotten with the next that goes through.
    reload(service, good)
    assert set(launchers(service)) == before


def test_a_sandbox_that_does_not_hold_is_refused(start_service):
    service = start_service()
    good = side(service, "good")
    reload(service, good)
    # Enough for the interpreter, too little for the attempts that must be seen to fail.
    starved = good.replace('allow = ["@python"]', 'allow = ["@python", "-getdents64", "-getdents"]')
    refuse(service, starved, "does not hold")
    assert service.client.execute(LOOK).result == seen("good")


def test_slots_and_queue_change_while_they_are_in_use(start_service):
    service = start_service(supervisor={"slots": 1, "queue": 0})
    reload(service, side(service, "one"))
    with ThreadPoolExecutor(12) as pool:

        def hold(count, gate, beside=0):
            held = [pool.submit(service.client.execute, WAIT, args=[gate]) for _ in range(count)]
            eventually(lambda: len(service.holding()) == beside + count)
            assert not [answer for answer in held if answer.done()]
            return held

        first = hold(1, "one")
        assert service.client.execute(LOOK).status == 429
        # More than there were control groups for.
        reload(service, side(service, "many", slots="12", queue="5"))
        many = hold(8, "many", beside=1)
        reload(service, side(service, "few", slots="2", queue="0"))
        assert service.client.execute(LOOK).status == 429
        open_gate(service, "one")
        assert first[0].result().result == seen("one")
        assert service.client.execute(LOOK).status == 429
        open_gate(service, "many")
        assert [answer.result().result for answer in many] == [seen("many")] * 8
        assert eventually(lambda: (answer := service.client.execute(LOOK)).status == 200 and answer).result == seen("few")
        # Two run and no third.
        few = hold(2, "few")
        assert service.client.execute(LOOK).status == 429
        open_gate(service, "few")
        assert [answer.result().result for answer in few] == [seen("few")] * 2
    # The slots beyond those are gone.
    eventually(lambda: len({path.parent.name for path in service.slot_groups("cgroup.procs")}) == 2 + (PARKED if WARM else 0))


def test_what_needs_a_restart_is_said(start_service):
    service = start_service()
    moved = side(service, "moved", uid_base=str(service.uid_base + 100_000))
    write(service, moved)
    service.supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: ready(service) == {"status": "ok", "policy": digest(moved), "reload": {"needs_restart": ["uid_base"]}}, within=60)
    assert "uid_base" in service.log("supervisor")
    assert service.client.execute(LOOK).result == seen("moved")
    reload(service, side(service, "back", uid_base=str(service.uid_base)))


def test_a_directory_that_was_replaced_is_read_anew(start_service):
    service = start_service()
    place = service.directory / "etc"
    place.mkdir()
    shutil.copy(service.policy, place / "policy.toml")
    service.policy.unlink()
    service.policy.symlink_to("etc/policy.toml")
    text = (place / "policy.toml").read_text()
    other = service.directory / "etc.new"
    other.mkdir()
    (other / "policy.toml").write_text(text + "\n# another directory of the same name\n")
    place.rename(service.directory / "etc.old")
    other.rename(place)
    service.supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: ready(service)["policy"] == digest(text + "\n# another directory of the same name\n"))


def test_a_storm_of_hangups_ends_with_the_last_file(start_service):
    service = start_service()
    texts = [side(service, f"side-{number}") for number in range(4)]
    for text in texts * 25:
        write(service, text)
        service.supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: ready(service)["policy"] == digest(texts[-1]), within=120)
    assert service.client.execute(LOOK).result == seen("side-3")
    # Far fewer reloads than signals: those that came meanwhile were one.
    assert (service.directory / "supervisor.log").read_text().count("reading the policy again") < 50


def test_a_stop_during_a_reload_leaves_nothing_behind(start_service):
    service = start_service()
    # With imports that take their time.
    write(service, side(service, "late").replace("imports = []", 'imports = ["numpy", "pandas"]'))
    service.supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: "reading the policy again" in service.log("supervisor"))
    service.supervisor.send_signal(signal.SIGTERM)
    assert service.supervisor.wait(60) == 0
    assert not service.processes() and not service.cgroup_directories()


def test_a_network_that_the_supervisor_gave_up_needs_a_restart(start_service):
    service = start_service()
    text, count = re.subn(r'(?m)^network += +"none"', 'network = "loopback"', service.policy.read_text(), count=1)
    assert count == 1
    refuse(service, text, "needs a restart")
    assert 'network = "loopback" needs a restart' in service.log("supervisor")
    service.supervisor.send_signal(signal.SIGTERM)
    assert service.supervisor.wait(60) == 0
    service.start_supervisor()
    service.wait_until_ready()
    assert ready(service) == {"status": "ok", "policy": digest(text)}
    # Names cannot be resolved there either, but that is no refusal; other families are one as before.
    answer = service.client.execute("import socket\ndef main(): socket.getaddrinfo('example.test', 80)")
    assert answer.status == 422 and "denials" not in answer.error, answer
    answer = service.client.execute("import socket\ndef main(): socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)")
    assert [denial["what"] for denial in answer.error["denials"]] == ["socket(AF_NETLINK)"]
