"""With CLOISTER_GROWN, scripts on the service that tests share run in children of a zygote that came to be by use.

It was forked from another such, which was forked from the profile's own. A script that is never to import any of it has
a line that seems to, for that is what decides where a request is served.
"""

import os

from client import Client, eventually, script_of

GROWN = bool(os.environ.get("CLOISTER_GROWN"))
# What each of them imports, the second beside the first.
IMPORTS = ("matplotlib.pyplot", "openpyxl")
LINE = f"\nif False:\n    import {', '.join(IMPORTS)}\n"
IS_THERE = f"import sys\ndef main():\n    return all(name in sys.modules for name in {IMPORTS})"
# Such a share of the requests at least has to be served there. A script that names what changes imports is not, nor one that brings such a file.
SHARE = 0.9


class GrownClient(Client):
    asked = 0

    def execute(self, script, headers=None, **fields):
        self.asked += fields.get("profile", "default") == "default"
        return super().execute(script_of(script) + LINE, headers, **fields)


def grow(service):
    """Ask for the first import, and then for both, until each is kept; from then on the service's client asks for both."""
    for number in range(len(IMPORTS)):
        wanted = IMPORTS[: number + 1]
        for _ in range(11):
            service.client.execute(f"if False:\n    import {', '.join(wanted)}\ndef main(): pass")
        eventually(lambda: " ".join(wanted) in kept(service))
    service.client = GrownClient(service.client.url)
    eventually(lambda: service.client.execute(IS_THERE).result)
    service.client.asked = 0
    return stats(service)


def check(service, before):
    """Whether the tests were served there."""
    after, asked = stats(service), service.client.asked
    hits = after["hits"] - before["hits"]
    print(f"\nserved by children of zygotes that were forked from zygotes: {hits} of {asked}")
    assert hits >= SHARE * asked, (hits, asked)
    assert after["evictions"] == {} and " ".join(IMPORTS) in kept(service), after


def stats(service):
    return service.stats()["profiles"]["default"]["warm"]


def kept(service):
    return {zygote["imports"] for zygote in stats(service)["zygotes"]}
