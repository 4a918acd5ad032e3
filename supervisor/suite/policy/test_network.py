"""The loopback network: it works, it is the job's alone, and nothing outside can be reached through it."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prelude import attack

POLICY = """
[profile.loopback]
extends = "default"
network = "loopback"
warm = false

[profile.loopback-warm]
extends = "default"
network = "loopback"
warm = { imports = [], parked = 1 }

[profile.closed]
extends = "default"
warm = false
"""


@pytest.fixture(scope="module")
def networked(start_for_module):
    return start_for_module(policy=POLICY)


@pytest.fixture
def attempt(networked):
    return lambda body, profile="loopback", **fields: networked.client.execute(attack(body), profile=profile, **fields).result


TALK = """
def main():
    import asyncio
    heard = {}
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        server = socket.create_server((host, 0), family=family)
        client = socket.create_connection(server.getsockname()[:2], timeout=30)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted, _ = server.accept()
        accepted.sendall(b"over tcp")
        one, two = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        one.bind((host, 0))
        two.sendto(b"over udp", one.getsockname()[:2])
        heard[host] = [client.recv(8).decode(), one.recv(8).decode()]

    async def echo():
        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\\n")
        return (await reader.readline()).decode()
    heard["asyncio"] = asyncio.run(echo())
    return heard
"""


@pytest.mark.parametrize("profile", ["loopback", "loopback-warm"])
def test_tcp_and_udp_work_within_the_sandbox(attempt, profile):
    said = ["over tcp", "over udp"]
    assert attempt(TALK, profile=profile) == {"127.0.0.1": said, "::1": said, "asyncio": "line\n"}


@pytest.mark.parametrize("profile", ["loopback", "loopback-warm"])
def test_localhost_and_its_own_are_names_and_no_other_is(attempt, profile):
    tried = attempt("""
    def main():
        found = [socket.getaddrinfo("localhost", 80, family)[0][4][0] for family in (socket.AF_INET, socket.AF_INET6)]
        server = socket.create_server(("localhost", 0))
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=30)
        changes = [(open, "/etc/hosts", "w"), (open, "/proc/self/root/etc/hosts", "a"), (os.unlink, "/etc/hosts"), (os.chmod, "/etc/hosts", 0o666),
                   (os.rename, "/etc/hosts", "/tmp/hosts"), (os.link, "/etc/hosts", "/tmp/hosts"), (os.mkdir, "/etc/other")]
        return {"found": found, "host": attempt(socket.gethostbyname, socket.gethostname()), "other": attempt(socket.gethostbyname, "other"), "changes": [attempt(*change) for change in changes]}
    """, profile=profile)
    assert tried["found"] == ["127.0.0.1", "::1"]
    assert tried["host"] == "'127.0.0.1'" and "Name or service not known" in tried["other"], tried
    assert set(tried["changes"]) <= {"EACCES", "EROFS", "EXDEV", "EPERM"}, tried


def test_without_a_network_there_are_no_names(attempt):
    assert attempt("def main(): return os.path.exists('/etc/hosts')", profile="closed") is False


@pytest.mark.layer("network namespace")
@pytest.mark.parametrize("profile", ["loopback", "loopback-warm"])
def test_nothing_outside_can_be_reached(networked, attempt, profile):
    host, port = networked.address.split(":")
    tried = attempt(f"""
    def main():
        def tcp(address): socket.create_connection(address, timeout=5)
        def udp(family, address): socket.socket(family, socket.SOCK_DGRAM).sendto(b"x", address)
        up = [line.split(":")[0].strip() for line in open("/proc/self/net/dev") if ":" in line and int(line.split(":")[1].split()[0])]
        return {{
            "host": attempt(tcp, ({host!r}, {port})), "tcp": attempt(tcp, ("192.0.2.1", 80)), "tcp6": attempt(tcp, ("2001:db8::1", 80)),
            "udp": attempt(udp, socket.AF_INET, ("192.0.2.1", 53)), "udp6": attempt(udp, socket.AF_INET6, ("2001:db8::1", 53)),
            "interfaces with traffic": [name for name in up if name != "lo"],
        }}
    """, profile=profile)
    assert tried.pop("host") == "ECONNREFUSED" and tried.pop("interfaces with traffic") == []
    assert set(tried.values()) <= {"ENETUNREACH", "EADDRNOTAVAIL"}, tried


@pytest.mark.layer("network namespace")
def test_two_jobs_at_once_do_not_see_each_other(attempt):
    meet = """
    import time
    def main(role):
        if role == "host":
            tcp, udp = socket.create_server(("127.0.0.1", 47110)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind(("127.0.0.1", 47111))
            tcp.settimeout(2); udp.settimeout(2)
            return [attempt(tcp.accept), attempt(udp.recv, 1)]
        met, until = set(), time.monotonic() + 2
        while time.monotonic() < until:
            met.add(attempt(socket.create_connection, ("127.0.0.1", 47110), 1))
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 47111))
            time.sleep(0.02)
        return sorted(met)
    """
    with ThreadPoolExecutor(2) as pool:
        host, guest = pool.submit(attempt, meet, args=["host"]), pool.submit(attempt, meet, args=["guest"])
        assert host.result() == ["timed out", "timed out"] and guest.result() == ["ECONNREFUSED"]


@pytest.mark.layer("network namespace")
def test_nothing_of_a_network_is_left_to_the_next_job(attempt):
    # The side that closes first keeps its port busy for a minute, in this network namespace.
    linger = """
    def main():
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        said = attempt(server.bind, ("127.0.0.1", 47112))
        server.listen()
        client = socket.create_connection(("127.0.0.1", 47112), timeout=30)
        accepted, _ = server.accept()
        accepted.close()
        return [said, client.recv(1).decode(), len(open("/proc/self/net/tcp").readlines())]
    """
    answers = [attempt(linger) for _ in range(8)]
    assert all(said == "None" and end == "" for said, end, _ in answers), answers
    assert len({lines for _, _, lines in answers}) == 1, answers


@pytest.mark.layer("seccomp")
def test_no_family_and_no_kind_but_unix_tcp_and_udp(attempt):
    tried = attempt("""
    def main():
        made = []
        for family in range(0, 47):
            for kind in (1, 2, 3, 4, 5, 6, 10):
                for protocol in (0, 1, 6, 17, 58, 132, 136, 255, 262):
                    if syscall(41, family, kind, protocol) != "EPERM": made.append([family, kind, protocol])
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        refused = [attempt(tcp.setsockopt, 6, 31, b"tls"), attempt(tcp.setsockopt, 6, 19, 1), attempt(udp.setsockopt, 0, 35, bytes(12)),
                   attempt(tcp.setsockopt, 0, 64, bytes(84)), attempt(udp.setsockopt, 41, 35, 1), attempt(udp.setsockopt, 17, 104, 1)]
        return [[m for m in made if m[0] != 1], refused, syscall(53, 2, 1, 0, ctypes.create_string_buffer(8))]
    """)
    kinds = [[family, kind, protocol] for family in (2, 10) for kind, own in ((1, 6), (2, 17)) for protocol in (0, own)]
    assert tried == [kinds, ["EPERM"] * 6, "EPERM"]


@pytest.mark.layer("seccomp")
def test_a_profile_without_a_network_has_none_beside_those_that_have(attempt):
    body = "def main(): return [attempt(socket.socket, family, kind) for family in (2, 10) for kind in (1, 2)]"
    assert attempt(body, profile="closed") == attempt(body, profile="default") == ["EPERM"] * 4


@pytest.mark.layer("supervisor")
def test_the_supervisor_itself_has_no_network_then(networked):
    supervisor = networked.supervisor.pid
    assert os.readlink(f"/proc/{supervisor}/ns/net") != os.readlink("/proc/self/ns/net")
    routes = Path(f"/proc/{supervisor}/net/route").read_text().splitlines()
    assert len(routes) <= 1, routes
