"""The package on a real Debian, from `apt install` to `apt purge`. The tests stand in the order of its life."""

import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme

import load
from image import step
from machine import LUGGAGE
from service import GROUP, UNITS, eventually

SUITE = LUGGAGE / "cloister/supervisor/suite"
POLICY = "/etc/cloister/policy.toml"
ANSWERS = {200, 429, 503}

# A program for the machine, which has no curl: it prints what an address answers.
FETCH = """python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=300).read().decode())'"""
METRICS = "http://127.0.0.1:9464/metrics"

# Over both protocols and both families of addresses to itself, and in vain to the gateway and to the world.
TALK = """
import errno, socket

def refusal(address):
    try:
        socket.create_connection(address, timeout=60)
    except OSError as error:
        return errno.errorcode[error.errno]

def main():
    heard = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        server = socket.create_server((host, 0), family=family)
        client = socket.create_connection(server.getsockname()[:2], timeout=60)
        server.accept()[0].sendall(b"tcp")
        one, two = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        one.bind((host, 0))
        two.sendto(b"udp", one.getsockname()[:2])
        heard += [client.recv(3).decode(), one.recv(3).decode()]
    return heard, refusal(("127.0.0.1", 8080)), refusal(("192.0.2.1", 80))
"""
TALKED = [["tcp", "udp", "tcp", "udp"], "ECONNREFUSED", "ENETUNREACH"]

# What an operator's look at the whole machine shows of a package, once the files of dpkg and apt themselves are left out.
SEE_ALL = """
    find /etc /usr /var/lib /run /tmp /opt -xdev \\( -path /var/lib/dpkg -o -path /var/lib/apt -o -path /run/systemd -o -path /run/udev \\
        -o -path /var/lib/systemd -o -path /run/user -o -path /run/sshd -o -path /tmp/systemd-private-* \\) -prune \\
        -o -not -name '*-' -not -name '*.lock' -not -name '*.old' -print
    find / -xdev -name '*cloister*' -not -path '/root/*' -not -path '/var/log/*' -not -path '/proc/*'
    cut -d: -f1 /etc/passwd /etc/group
    find /sys/fs/cgroup -type d -name '*cloister*'
    findmnt -rno TARGET | grep -v systemd/
    systemctl list-units --all --plain --no-legend 'cloister*' | cut -d' ' -f1
    ps -eo user:20,args | grep [c]loister || true
"""


@pytest.fixture(scope="module", autouse=True)
def untouched(machine):
    """The machine before it was installed."""
    return set(machine.ssh(SEE_ALL).stdout.splitlines())


@pytest.mark.essential
def test_it_installs_with_apt_and_serves(service, machine, untouched):
    with step("install the package"):
        service.apt("install", LUGGAGE / "previous.deb")
    assert {service.show("ActiveState", unit) for unit in UNITS} == {"active"}
    # As installed, only this host itself can connect.
    assert "127.0.0.1:8080" in machine.run("ss", "-ltn")
    service.open_to_the_outside()
    service.wait_until_ready()


@pytest.mark.essential
def test_both_examples_answer_from_outside(service):
    status, answer = service.execute("def main():\n    return {'sum': 2 + 2}")
    assert (status, answer["result"]) == (200, {"sum": 4})
    frame = "import pandas as pd\ndef main():\n    df = pd.DataFrame({'a': [1, 2, 3]})\n    print(df)\n    return df.to_dict('records')"
    status, answer = service.execute(frame)
    assert (status, answer["result"]) == (200, [{"a": 1}, {"a": 2}, {"a": 3}])
    assert "a" in answer["stdout"]


@pytest.mark.essential
def test_a_warm_interpreters_memory_is_laid_out_anew(machine):
    """As each kernel can: older ones move no two mappings at once, mremap(2)."""
    count = lambda: machine.ssh("cat /proc/$(pgrep -x parked | head -n 1)/maps | wc -l", check=False).stdout
    assert eventually(lambda: int(count() or 0)) < 100


def test_an_upgrade_under_load_drops_no_connection(service, machine):
    # As if the Python tree had been another, so that it is replaced too.
    machine.run("sed", "-i", "$ a older", "/var/lib/cloister/python/stamp")
    with service.load() as load:
        eventually(lambda: load.served() >= 3)
        before = {unit: service.main_pid(unit) for unit in UNITS if unit.endswith(".service")}
        service.apt("install", LUGGAGE / "current.deb")
        for unit, pid in before.items():
            service.restarted(pid, unit)
        served = load.served()
        eventually(lambda: load.served() > served)
    assert not load.broken and set(load.answers) <= ANSWERS, (load.broken, load.answers)
    # The Python tree is the new one, the policy is still the operator's.
    assert machine.ssh("cmp /usr/lib/cloister/python.stamp /var/lib/cloister/python/stamp && ! ls -d /var/lib/cloister/.python.*", check=False).returncode == 0
    machine.run("grep", "-x", 'wall_time = "5min" .*', POLICY)
    assert "~previous" not in machine.run("dpkg-query", "-W", "-f", "${Version}", "cloister")


@pytest.mark.essential
def test_every_layer_holds_on_version_two(service, machine):
    found = machine.run("cloister", "doctor")
    rows = found.splitlines()[1:]
    assert len(rows) > 20 and all(row.startswith("ok ") for row in rows), found
    assert any(row.split() == ["ok", "cgroup", "memory,", "pids,", "cpu", "v2"] for row in rows), found
    assert machine.run("cat", "/sys/module/apparmor/parameters/enabled") == "Y"


@pytest.mark.essential
def test_the_profile_of_apparmor_is_in_force_where_it_is_known(service, machine):
    # From version 4 on, as Debian 13 has it.
    known = machine.ssh("apparmor_parser --version | grep -q ' version [4-9]'", check=False).returncode == 0
    assert (machine.ssh("test -e /etc/apparmor.d/cloister-supervisor", check=False).returncode == 0) is known
    confined = "cloister-supervisor (enforce)" if known else "unconfined"
    assert machine.run("cat", f"/proc/{service.main_pid()}/attr/current") == confined
    labels = machine.ssh(f"for pid in $(cat {GROUP}/cloister/*/cgroup.procs); do cat /proc/$pid/attr/current; done").stdout.splitlines()
    assert set(labels) == {confined}


def test_each_slot_has_device_nodes_of_its_own(service, machine):
    assert len(machine.run("ls", "/dev/cloister/cloister").split()) > 64
    assert machine.run("stat", "-c", "%F %t:%T %a", "/dev/cloister/cloister/0/null") == "character special file 1:3 666"


def test_exposure_is_low(machine):
    # systemd's own measure, 0 to 10, in tenths. The supervisor's is 4.3: it makes sandboxes, and what it may not do, no job may
    # (internet sockets on a loopback network of its own are 0.3 of it, as is that it makes device nodes before it begins).
    machine.run("systemd-analyze", "--no-pager", "security", "--threshold=15", "cloister-gateway.service")
    machine.run("systemd-analyze", "--no-pager", "security", "--threshold=43", "cloister-supervisor.service")


@pytest.mark.essential
def test_limits_are_in_the_files_of_version_two_while_a_job_runs(service, machine):
    with service.held() as (_, [group]):
        files = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max")
        found = [machine.run("cat", group / file) for file in files if machine.ssh(f"test -e {group / file}", check=False).returncode == 0]
        assert found == [str(512 << 20), "0", "1", "64", "100000 100000"]
        eventually(lambda: service.show("StatusText").startswith("1 of 32 slots busy"))
    assert machine.run("cat", f"{GROUP}/cgroup.procs") == ""
    # What serves, and what stays root beside it.
    [other] = set(machine.run("cat", f"{GROUP}/.supervisor/cgroup.procs").split()) - {str(service.main_pid())}
    assert machine.run("cat", f"/proc/{other}/cmdline").split("\0")[1] == "monitor"


@pytest.mark.essential
def test_both_daemons_have_a_bound_of_their_own_and_the_jobs_are_not_under_it(service, machine):
    own = int(machine.run("cat", f"{GROUP}/.supervisor/memory.max"))
    assert 1 << 30 < own < 16 << 30
    assert machine.run("cat", f"{GROUP}/memory.max") == "max"
    gateway = machine.run("systemctl", "show", "-p", "MemoryMax", "--value", "cloister-gateway.service")
    assert int(gateway) <= 2 << 30


@pytest.mark.essential
def test_a_session_is_stopped_between_cells_and_survives_one_that_kills_it(service, machine):
    status, session = load.ask(service.url, "/sessions", {})
    assert status == 201, session
    cells = f"/sessions/{session['session']}/execute"
    begin = "import ctypes, threading, time\nctypes.CDLL(None).prctl(15, b'holding', 0, 0, 0)\n" \
            "def count():\n    while True: ticks.append(1) if len(ticks) < 9 else ticks.clear()\nticks, x = [], 20\n" \
            "threading.Thread(target=count, daemon=True).start()"
    assert load.ask(service.url, cells, {"code": begin})[0] == 200
    [group] = service.holders()
    eventually(lambda: "frozen 1" in machine.run("cat", group / "cgroup.events"))
    used = machine.run("head", "-n", "1", group / "cpu.stat")
    # It has a thread that never rests.
    assert load.ask(service.url, f"/sessions/{session['session']}")[1]["state"] == "idle"
    assert machine.run("head", "-n", "1", group / "cpu.stat") == used
    status, told = load.ask(service.url, cells, {"code": "x = 0\nimport os; os._exit(3)"})
    assert (status, told["error"]["code"], told["restored"]) == (422, "exit", True), told
    assert len(told["not_kept"]) == 1, told
    status, told = load.ask(service.url, cells, {"code": "x + 1"})
    assert (status, told["result"]) == (200, 21), told
    assert load.ask(service.url, f"/sessions/{session['session']}", method="DELETE")[0] == 204
    assert load.ask(service.url, f"/sessions/{session['session']}")[0] == 410


@pytest.mark.essential
def test_branches_of_a_session_are_held_and_ended_by_groups_of_their_own(service, machine):
    status, session = load.ask(service.url, "/sessions", {})
    assert status == 201, session
    path = f"/sessions/{session['session']}"
    begin = "import ctypes, mmap\nctypes.CDLL(None).prctl(15, b'holding', 0, 0, 0)\nx, shared = 20, mmap.mmap(-1, 40 << 20)"
    assert load.ask(service.url, f"{path}/execute", {"code": begin})[0] == 200
    status, forked = load.ask(service.url, f"{path}/fork", {"count": 2})
    assert status == 201 and "not_kept" not in forked, forked
    paths = [path, *(f"/sessions/{branch['session']}" for branch in forked["branches"])]
    groups = service.holders()
    assert len(groups) == 3
    for group in groups:
        eventually(lambda group=group: "frozen 1" in machine.run("cat", group / "cgroup.events"))
        assert machine.run("cat", group / "memory.max") == str(512 << 20)
    status, told = load.ask(service.url, f"{paths[1]}/execute", {"code": "x = 1\nheld = bytearray(600 << 20)"})
    assert (status, told["error"]["code"], told["restored"]) == (422, "memory_limit", True), told
    for number, each in enumerate(paths):
        status, told = load.ask(service.url, f"{each}/execute", {"code": f"x += {number}; x"})
        assert (status, told["result"]) == (200, 20 + number), told
    assert load.ask(service.url, f"{paths[1]}/execute", {"code": "shared[:] = bytes([1]) * len(shared)"})[0] == 200
    assert load.ask(service.url, paths[1], method="DELETE")[0] == 204
    eventually(lambda: len(service.holders()) == 2)
    # What others have of it counts for the session until they have it no more.
    held = lambda: load.ask(service.url, path)[1]["memory_bytes"]
    eventually(lambda: held() > 40 << 20)
    for each in (paths[0], paths[2]):
        assert load.ask(service.url, f"{each}/execute", {"code": "shared.close()"})[0] == 200
    eventually(lambda: held() < 40 << 20)
    assert load.ask(service.url, path, method="DELETE")[0] == 204
    status, told = load.ask(service.url, paths[2])
    assert (status, told["error"]["reason"]) == (410, "root_ended"), told
    eventually(lambda: not service.holders())


# More memory at once than the node has for two such jobs, and less than the profile allows to one.
FILL = """
import time
def main(mebibytes):
    held = bytearray(mebibytes << 20)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(30)
    return "kept"
"""


@pytest.mark.essential
def test_jobs_that_use_up_the_memory_of_the_node_cost_one_of_them_and_not_the_node(service, machine):
    drop_in = "/run/systemd/system/cloister-supervisor.service.d"
    machine.ssh(f"mkdir -p {drop_in} && printf '[Service]\\nMemoryMax=900M\\n' > {drop_in}/memory.conf && systemctl daemon-reload")
    try:
        service.restart()
        supervisor = service.main_pid()
        # As a container whose runtime has all of it end when its memory is used up.
        machine.ssh(f"echo 1 > {GROUP}/memory.oom.group")
        assert machine.run("cat", f"{GROUP}/cloister/memory.max") == str(675 << 20)
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: service.execute(FILL, args=[400]), range(2)))
        assert sorted(status for status, _ in answers) == [200, 422]
        [error] = [answer["error"] for status, answer in answers if status == 422]
        assert (error["code"], error["reason"]) == ("memory_limit", "node_memory") and "denials" not in error
        assert service.main_pid() == supervisor and service.is_ready()
    finally:
        machine.ssh(f"rm -r {drop_in} && systemctl daemon-reload")
        service.restart()


# As a container's first process, in a group that no manager has marked, and with its own control groups shown to it or the host's.
CONTAINED = """
    mkdir -p /sys/fs/cgroup/pod
    unshare --mount --pid --fork {namespace} --mount-proc sh -c 'echo 0 > /sys/fs/cgroup/pod/cgroup.procs; exec cloister run --policy /etc/cloister/policy.toml /root/held.py' &
    until find /sys/fs/cgroup -path '*/slot-*' -name cgroup.procs -path '*cloister-run-*' -exec cat {{}} + | grep -q .; do sleep 0.2; done
    find /sys/fs/cgroup -type d -name 'cloister-run-*'
    wait
    rmdir /sys/fs/cgroup/pod/.supervisor /sys/fs/cgroup/pod
"""


@pytest.mark.essential
def test_in_a_container_all_groups_are_below_its_own(machine):
    machine.ssh("printf 'import time\\ndef main():\\n    time.sleep(5)\\n    return 7\\n' > /root/held.py")
    said = machine.ssh(CONTAINED.format(namespace="")).stdout
    assert "/sys/fs/cgroup/pod/cloister-run-" in said and '"result":7' in said.replace(" ", ""), said
    assert "\n/sys/fs/cgroup/cloister-run" not in f"\n{said}"


def test_usage_tells_the_peak_of_memory(service):
    status, answer = service.execute("def main():\n    held = bytearray(100 << 20)\n    held[::4096] = b'x' * len(held[::4096])\n    return len(held)")
    assert status == 200
    assert 100 << 20 <= answer["usage"]["memory_peak_bytes"] < 512 << 20
    status, answer = service.execute("def main(): return len(bytearray(1 << 30))")
    assert (status, answer["error"]["code"]) == (422, "memory_limit")
    # The job's failure is not the unit's.
    assert service.show("Result") == "success" and service.is_ready()


def test_the_journal_has_a_field_for_each_value_and_no_word_of_a_script(service):
    status, answer = service.execute("def main():\n    print('a secret of the script')\n    raise KeyError('another secret')")
    assert status == 422
    job = f"CLOISTER_ID={answer['id']}"
    eventually(lambda: service.journal(job, "-t", "cloister-supervisor"))
    fields = service.journal(job, "-t", "cloister-supervisor", "-o", "export")
    assert "CLOISTER_PROFILE=default" in fields and "CLOISTER_OUTCOME=Exception" in fields and "CLOISTER_MILLISECONDS=" in fields
    assert "CLOISTER_STATUS=422" in service.journal(job, "-t", "cloister-gateway", "-o", "export")
    assert "secret" not in service.journal("-u", "cloister-supervisor", "-u", "cloister-gateway", "-o", "export")


def test_the_contract_the_escapes_and_the_limits_hold(service, machine):
    # The suite's own profiles too, with times for this machine, and cold, so that the start need not import for each.
    machine.run("cp", POLICY, f"{POLICY}.kept")
    machine.ssh("sed -E -e 's/^wall_time = .*/wall_time = \"5min\"/' -e 's/^cpu_time = .*s\"/cpu_time = \"30s\"/' -e '/^memory = /a warm = false'"
                f" {SUITE}/profiles.toml >> {POLICY}")
    service.restart()
    suite = machine.ssh(f"cd {SUITE} && CLOISTER_BIN=/bin CLOISTER_URL=http://127.0.0.1:8080 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PYTHONPATH={LUGGAGE}/packages"
                        " python3 -B -m pytest -q -p no:cacheprovider --durations=8 --basetemp=/root/suite contract escape limits", check=False, timeout=7200)
    machine.run("mv", f"{POLICY}.kept", POLICY)
    service.restart()
    print(suite.stdout)
    last = suite.stdout.splitlines()[-1]
    assert " passed" in last and "failed" not in last and "error" not in last, last


@pytest.mark.essential
def test_a_killed_supervisor_is_back_and_leaves_no_sandbox(service, machine):
    first = service.main_pid()
    with service.load() as load, service.held(2) as (jobs, _):
        earlier = service.processes()
        machine.run("kill", "-KILL", first)
        service.restarted(first)
        served = load.served()
        eventually(lambda: load.served() > served)
        assert [job.result()[0] for job in jobs] == [502, 502]
    # Jobs that ran when it was killed are lost, and whoever asked is told so.
    assert not load.broken and set(load.answers) <= ANSWERS | {502}, (load.broken, load.answers)
    assert not earlier & service.processes()


@pytest.mark.essential
def test_a_killed_gateway_is_back_and_the_socket_was_never_away(service, machine):
    first = service.main_pid("cloister-gateway.service")
    with service.load(clients=4) as load:
        eventually(lambda: load.served() >= 3)
        machine.run("kill", "-KILL", first)
        service.restarted(first, "cloister-gateway.service")
        served = load.served()
        eventually(lambda: load.served() > served)
    # What the killed process had in its hands is lost, one a client at most; everyone who connected later was served.
    assert len(load.broken) <= 4 and set(load.answers) <= ANSWERS, (load.broken, load.answers)


def test_restarts_of_both_under_load_drop_no_connection(service, machine):
    with service.load() as load:
        for unit in ("cloister-supervisor.service", "cloister-gateway.service"):
            earlier, served = service.main_pid(unit), load.served()
            eventually(lambda: load.served() > served)
            machine.run("systemctl", "restart", unit)
            service.restarted(earlier, unit)
        served = load.served()
        eventually(lambda: load.served() > served)
    assert not load.broken and set(load.answers) <= ANSWERS, (load.broken, load.answers)


def test_the_watchdog_ends_a_supervisor_that_has_stopped(service, machine):
    first = service.main_pid()
    machine.run("kill", "-STOP", first)
    service.restarted(first)
    assert "Watchdog timeout" in service.journal("-u", "cloister-supervisor.service", "-o", "cat")
    assert service.execute("def main(): return 1")[1]["result"] == 1


def test_a_launcher_that_has_stopped_is_replaced_and_the_supervisor_stays(service, machine):
    first = service.main_pid()
    stopped = min(service.processes() - set(children(machine, first)))
    machine.run("kill", "-STOP", stopped)
    eventually(lambda: stopped not in service.processes())
    assert eventually(lambda: service.execute("def main(): return 1")[1].get("result") == 1)
    assert service.main_pid() == first


@pytest.mark.essential
def test_a_policy_with_mistakes_fails_the_reload_and_changes_nothing(service, machine):
    first = service.main_pid()
    machine.run("sed", "-i.kept", "s/^memory = .*/memroy = 1/", POLICY)
    failed = machine.ssh("systemctl reload cloister-supervisor.service", check=False)
    machine.run("mv", f"{POLICY}.kept", POLICY)
    assert failed.returncode != 0
    assert "did you mean `memory`?" in service.journal("-u", "cloister-supervisor.service", "-o", "cat")
    assert service.main_pid() == first and service.execute("def main(): return 1")[1]["result"] == 1


@pytest.mark.essential
def test_a_good_policy_is_in_force_after_a_reload(service, machine):
    first = service.main_pid()
    machine.run("sed", "-i.kept", "s/^processes = 64/processes = 63/", POLICY)
    machine.run("systemctl", "reload", "cloister-supervisor.service")

    def limit():
        with service.held() as (_, [group]):
            return machine.run("cat", group / "pids.max")

    # The command returns when the policy is found good; the supervisor then tries the sandbox under it.
    eventually(lambda: limit() == "63")
    assert service.main_pid() == first
    machine.run("mv", f"{POLICY}.kept", POLICY)


def test_jobs_with_a_loopback_network_talk_to_themselves_alone(service, machine):
    machine.run("cp", POLICY, f"{POLICY}.kept")
    machine.ssh(f"printf '\\n[profile.loopback]\\nextends = \"default\"\\nnetwork = \"loopback\"\\nwarm = false\\n' >> {POLICY}")
    service.restart()
    status, answer = service.execute(TALK, profile="loopback")
    machine.run("mv", f"{POLICY}.kept", POLICY)
    service.restart()
    assert (status, answer.get("result")) == (200, TALKED), answer


def test_metrics_are_served_on_a_socket_of_their_own(service, machine):
    assert machine.ssh(f"{FETCH} {METRICS}", check=False).returncode != 0
    machine.run("systemctl", "enable", "cloister-gateway-metrics.socket")
    with service.load() as load:
        eventually(lambda: load.served() >= 3)
        machine.run("systemctl", "restart", "cloister-gateway.service")
        served = load.served()
        eventually(lambda: load.served() > served)
    assert not load.broken, load.broken
    assert "# TYPE cloister_requests_total counter" in machine.ssh(f"{FETCH} {METRICS}").stdout
    assert service.execute("def main(): return 1")[1]["result"] == 1


def test_keys_and_certificates_are_handed_over_from_the_store_of_credentials(service, machine):
    authority, store = trustme.CA(), "/etc/credstore"
    certificate, trust = authority.issue_cert("127.0.0.1"), ssl.create_default_context()
    authority.configure_trust(trust)
    machine.run("install", "-d", "-m", "700", store)
    for name, pem in (("tls.crt", certificate.cert_chain_pems[0]), ("tls.key", certificate.private_key_pem)):
        machine.ssh(f"umask 077; cat > {store}/cloister.{name}", input=pem.bytes().decode())
    key = machine.run("cloister", "keys", "--keys", f"{store}/cloister.keys", "new", "tests").splitlines()[-1]
    machine.ssh("sed -i.kept /GATEWAY_OPTIONS/d /etc/cloister/gateway.env && systemctl restart cloister-gateway.service")

    secure = service.url.replace("http:", "https:")
    assert load.execute(secure, "def main(): return 1", key=key, trust=trust)[1]["result"] == 1
    assert load.execute(secure, "def main(): return 1", trust=trust)[0] == 401
    # The gateway's account reads what it was handed, and not the files that it came from.
    assert machine.ssh(f"runuser -u cloister-gateway -- ls {store}", check=False).returncode != 0

    machine.ssh(f"rm -r {store} && mv /etc/cloister/gateway.env.kept /etc/cloister/gateway.env && systemctl restart cloister-gateway.service")
    service.wait_until_ready()
    assert service.execute("def main(): return 1")[1]["result"] == 1


@pytest.mark.essential
def test_a_purge_leaves_nothing_not_even_of_a_service_that_has_failed(service, machine, untouched):
    machine.run("sed", "-i", "s/^memory = .*/memroy = 1/", POLICY)
    assert machine.ssh("systemctl restart cloister-supervisor.service", check=False).returncode != 0
    machine.run("rm", "-r", "/etc/systemd/system/cloister-gateway.socket.d")
    service.apt("purge", "cloister")
    left = set(machine.ssh(SEE_ALL).stdout.splitlines()) - untouched
    assert not left, sorted(left)


def children(machine, pid):
    return [int(child) for child in machine.run("pgrep", "-P", pid).split()]
