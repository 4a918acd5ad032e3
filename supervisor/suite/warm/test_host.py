"""Nothing of the host that an import found out ahead is remembered in a job: not its name, nor that of its domain."""

import sys

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
