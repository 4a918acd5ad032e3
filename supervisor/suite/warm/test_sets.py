"""Warmth follows use: what scripts import, and nobody configured, is imported ahead of them after some uses."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client import eventually
from service import HOLD
from tree import Tree

# How many children of each wait, at most.
PARKED = 2

HELD = "held = [str(number) * 4 for number in range(100_000)]\n"

MODULES = {
    "large": HELD,
    "large.inner": HELD,
    "double": "held = [str(number) * 4 for number in range(200_000)]\n",
    "other": "import random\nown = random.Random()\n" + HELD,
    "small": "",
    "unlisted": "",
    "threads": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
    "fails": "raise ValueError('a secret of the operator')",
    "forks": "import os, time\nif not os.fork():\n    time.sleep(600)",
    "ends": "import os\nif not os.fork():\n    time = __import__('time').sleep(600)\nos._exit(0)",
    "named": "def inner():\n    return 'a function'",
    "named.inner": "",
    "vast": "held = bytearray(400 << 20)",
    "hangs": "import time\nif __import__('os').getpid() > 2: time.sleep(600)",
    "prints": "print('by an import', end='')",
} | {f"flood{number}": HELD for number in range(6)}

ASKS = """import sys
there = sorted(name for name in sys.modules if name.split(".")[0] in ("large", "other", "small"))
{}
def main():
    return there
"""


@pytest.fixture(scope="module")
def tree():
    tree = Tree(MODULES, unlisted=["unlisted"])
    yield tree
    tree.remove()


@pytest.fixture(scope="module")
def used(start_for_module, tree):
    return start_for_module(policy=tree.policy())


def ask(service, imports, **fields):
    """What a script that imports this finds imported already."""
    return service.client.execute(ASKS.format(imports), profile="used", **fields).result


def stats(service):
    return service.stats()["profiles"]["used"]["warm"]


def kept(service):
    """The zygotes beside the profile's own, by what they have imported."""
    return {zygote["imports"]: zygote for zygote in stats(service)["zygotes"] if zygote["imports"]}


def ready(service, imports):
    """The zygote of these imports, once children of it wait: one that is asked for sooner is not waited for for long."""
    return eventually(lambda: (zygote := kept(service).get(imports)) and zygote["parked"] == PARKED and zygote)


def ask_of(service, zygote, imports, **fields):
    """The same, with children of a zygote ready."""
    ready(service, zygote)
    return ask(service, imports, **fields)


def make_used(service, imports):
    """Ask so often that it is kept warm; the zygote of it."""
    for _ in range(10):
        ask(service, f"import {imports}")
    return ready(service, imports)


def test_the_eleventh_request_of_an_import_set_is_served_warm(used):
    before = stats(used)
    for _ in range(10):
        assert ask(used, "import small") == []
    assert ask_of(used, "small", "import small") == ["small"]
    after = stats(used)
    assert (after["hits"] - before["hits"], after["misses"] - before["misses"]) == (1, 10)


def test_a_job_is_forked_from_who_has_most_of_what_it_imports_and_nothing_else(used):
    make_used(used, "large")
    assert ask(used, "import large, other") == ["large"]
    assert ask_of(used, "large", "from large import inner") == ["large"]
    assert ask(used, "import other") == ask(used, "import json") == ask(used, "x = 'import large'") == []
    # In a comment it is not asked for, in a text it may seem to be: then it is there, and nothing else is different.
    assert ask(used, "# import large") == []
    assert ask_of(used, "large", "'''\nimport large\n'''") == ["large"]


def test_what_was_imported_for_one_set_is_not_there_for_another_that_it_was_grown_into(start_service, tree):
    service = start_service(policy=tree.policy())
    make_used(service, "large")
    for _ in range(10):
        ask(service, "import large, other")
    ready(service, "large other")
    # A job that names what came last finds nothing of what was there before it.
    assert ask(service, "import other") == []
    make_used(service, "other")
    assert ask(service, "import other") == ["other"]
    assert ask_of(service, "large other", "import large, other") == ["large", "other"]


def test_a_request_that_brings_what_an_import_may_read_imports_by_itself(used):
    make_used(used, "other")
    for name, ahead in [("table.csv", ["other"]), ("settings.py", []), (".other/config.json", []), ("otherrc", [])]:
        assert ask_of(used, "other", "import other", files=[{"path": name, "content": "x"}]) == ahead, name


def test_what_the_operators_packages_do_not_bring_is_not_imported_for_anybody(used):
    for _ in range(30):
        ask(used, "import unlisted, wsgiref")
    make_used(used, "other")
    assert all("unlisted" not in imports and "wsgiref" not in imports for imports in kept(used))
    assert used.client.execute("import sys\nahead = 'unlisted' in sys.modules\nimport unlisted\ndef main(): return ahead", profile="used").result is False


def test_a_zygote_with_more_imports_shares_the_pages_of_the_one_that_it_was_forked_from(used):
    small = make_used(used, "large")
    more = make_used(used, "large.inner")
    assert 4 << 20 < more["bytes"] < 2 * small["bytes"], (small, more)
    [larger] = [pid for pid in used.zygotes() if parent_of(pid) in used.zygotes() and parent_of(parent_of(pid)) in used.zygotes()]
    shared, private = memory(larger)
    assert shared > private and shared > small["bytes"], (shared, private)


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def memory(pid):
    """Bytes that a process shares with others, and that it does not: proc_pid_smaps_rollup(5)."""
    rows = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    total = lambda kind: sum(int(row[1]) for row in rows if row[0].startswith(kind)) << 10
    return total("Shared_"), total("Private_")


def test_two_children_of_it_have_nothing_random_in_common(used):
    make_used(used, "other")
    script = "import sys\nahead = 'other' in sys.modules\nimport other, os, tempfile\ndef main(): return [other.own.random(), next(tempfile._get_candidate_names())], ahead"
    told, ahead = zip(*(ready(used, "other") and used.client.execute(script, profile="used").result for _ in range(3)))
    assert ahead == (True, True, True)
    assert all(len({str(job[which]) for job in told}) == 3 for which in range(2)), told


def test_what_a_script_has_from_a_package_is_the_same_warm_as_cold(used):
    script = "from named import inner\nimport sys\ndef main(): return [inner(), 'named' in sys.modules and 'named.inner' not in sys.modules]"
    for _ in range(10):
        assert used.client.execute(script, profile="used").result == ["a function", True]
    ready(used, "named")
    hits = stats(used)["hits"]
    assert used.client.execute(script, profile="used").result == ["a function", True]
    assert stats(used)["hits"] == hits + 1


def test_a_script_that_sets_what_an_import_may_read_imports_by_itself(used):
    make_used(used, "other")
    script = "import os, sys\nthere = 'other' in sys.modules\n{}\nimport other\ndef main(): return there"
    assert used.client.execute(script.format("pass"), profile="used").result is True
    assert used.client.execute(script.format("os.environ['A_BACKEND'] = 'x'"), profile="used").result is False


def test_what_an_import_prints_is_no_scripts(used):
    make_used(used, "prints")
    answer = used.client.execute("import sys\nahead = 'prints' in sys.modules\nimport prints\ndef main(): print('mine'); return ahead", profile="used")
    assert (answer.result, answer.stdout) == (True, "mine\n")


@pytest.mark.parametrize(("module", "status", "told"), [
    ("threads", 200, "import threads started threads, which a fork does not keep"),
    ("fails", 422, "import fails: ValueError"),
    ("forks", 200, "import forks started a process, which no job may depend on"),
    ("ends", 422, "the interpreter ended while it imported"),
])
def test_what_cannot_be_imported_ahead_is_told_and_costs_no_request(used, module, status, told):
    before, processes = stats(used)["refused"].get("failed", 0), set(used.zygotes())
    script = f"def main():\n    import {module}\n    return 1"
    for _ in range(10):
        used.client.execute(script, profile="used")
    eventually(lambda: stats(used)["refused"].get("failed", 0) == before + 1)
    assert told in used.log("supervisor")
    assert used.client.execute(script, profile="used").status == status
    eventually(lambda: not set(used.zygotes()) - processes)


def test_while_an_import_hangs_requests_are_served_and_the_end_is_clean(start_service, tree):
    service = start_service(policy=tree.policy())
    before = len(service.zygotes())
    for _ in range(10):
        service.client.execute("if False:\n    import hangs\ndef main(): return 1", profile="used")
    eventually(lambda: len(service.zygotes()) == before + 1)
    assert service.client.execute("if False:\n    import hangs\ndef main(): return 1", profile="used").result == 1


def test_one_that_dies_costs_no_request_and_comes_back(used):
    make_used(used, "small")
    before = stats(used)["evictions"].get("died", 0)
    for zygote in used.zygotes():
        if parent_of(zygote) in used.zygotes():
            os.kill(zygote, 9)
            ask(used, "import small")
    eventually(lambda: stats(used)["evictions"].get("died", 0) > before)
    make_used(used, "small")


def test_an_import_takes_no_more_memory_than_all_may_hold(start_service, tree):
    service = start_service(policy=tree.policy(memory='"100MiB"'))
    for _ in range(10):
        service.client.execute("if False:\n    import vast\ndef main(): return 1", profile="used")
    eventually(lambda: stats(service)["refused"] == {"failed": 1})
    assert "import vast: MemoryError" in service.log("supervisor")


def used_on(service, imports):
    """The zygote of it, asked for until it is kept warm: what is forgotten within seconds may be before it is counted."""
    return eventually(lambda: kept(service).get(imports) or (ask(service, f"import {imports}") and None))


def test_what_was_shared_with_one_that_is_gone_is_counted_as_its_childs(start_service, tree):
    service = start_service(policy=tree.policy(idle='"6s"'))
    small, more = (used_on(service, imports) for imports in ("large", "large.inner"))

    def alone():
        ask(service, "import large.inner")
        return "large" not in kept(service)

    eventually(alone)
    assert kept(service)["large.inner"]["bytes"] == more["bytes"] + small["bytes"]


def test_a_set_that_is_used_no_more_is_gone(start_service, tree):
    service = start_service(policy=tree.policy(idle='"4s"'))
    before = set(service.zygotes())
    for _ in range(20):
        ask(service, "import small")
    eventually(lambda: stats(service)["evictions"].get("idle"))
    assert not kept(service)
    eventually(lambda: set(service.zygotes()) == before)


def test_zygotes_are_renewed_with_the_one_that_they_were_forked_from(start_service, tree):
    service = start_service(policy=tree.policy(renew='"3s"'))
    make_used(service, "small")
    script = "import small\ndef main(): return hash('a text')"
    first = service.client.execute(script, profile="used").result
    eventually(lambda: service.client.execute(script, profile="used").result != first)
    eventually(lambda: ask(service, "import small") == ["small"])


def test_who_asks_for_many_sets_takes_nobodys_warmth(start_service, tree):
    """Where there is no room for all the least wanted go, and one who asks for many wants each little."""
    service = start_service(policy=tree.policy(memory='"60MiB"'))
    make_used(service, "large")
    flood = [f"def main():\n    import flood{number}" for number in range(6)] * 12
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda script: as_another(service, script), flood))
    # As many as there is room for, and no more come although they are asked for.
    eventually(lambda: len(kept(service)) > 2)
    as_another(service, flood[0])
    assert "large" in kept(service) and stats(service)["evictions"] == {}
    assert sum(zygote["bytes"] for zygote in kept(service).values()) <= 60 << 20
    assert ask(service, "import large") == ["large"]


def as_another(service, script):
    """A request of another tenant's, as the gateway would send it."""
    headers = {"x-cloister-tenant": "7" * 32, "content-type": "application/json"}
    with service.supervisor_client() as client:
        assert client.post("/execute", json={"script": script, "profile": "used"}, headers=headers).status_code == 200


def test_what_is_wanted_more_takes_the_place_of_what_is_wanted_less(start_service, tree):
    service = start_service(policy=tree.policy(memory='"24MiB"'))
    make_used(service, "large")
    for _ in range(40):
        ask(service, "import other")
    eventually(lambda: set(kept(service)) == {"other"})
    assert stats(service)["evictions"] == {"memory": 1}


def test_what_had_no_room_is_tried_again_once_it_may_have_the_place_of_another(start_service, tree, used):
    """docs/warm-pool.md: "one that has no room is tried again once it may have the place of another"."""
    small, double = make_used(used, "large")["bytes"], make_used(used, "double")["bytes"]
    # Two of the small one would fit, by which it is judged at first whether it is worth while to import another.
    service = start_service(policy=tree.policy(memory=f'"{small + (small + double) // 2 >> 20}MiB"'))
    make_used(service, "large")
    for _ in range(11):
        ask(service, "import double")
    eventually(lambda: stats(service)["refused"] == {"memory": 1})
    for _ in range(40):
        ask(service, "import double")
    eventually(lambda: set(kept(service)) == {"double"})


def test_while_a_job_of_one_that_was_let_go_of_runs_nothing_else_goes_for_another(start_service, tree):
    """docs/warm-pool.md: "one that is let go of counts until its last job has ended"."""
    service = start_service(policy=tree.policy(memory='"24MiB"') + 'wall_time = "2min"\n')
    make_used(service, "large")
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(service.client.execute, f"import large\n{HOLD}", profile="used", args=[100])
        [process] = eventually(service.holding)
        for _ in range(40):
            ask(service, "import other")
        eventually(lambda: set(kept(service)) == {"other"})
        for _ in range(120):
            ask(service, "import flood0")
        time.sleep(2)
        assert set(kept(service)) == {"other"} and stats(service)["evictions"] == {"memory": 1}
        os.kill(process, 9)
        assert job.result().status == 422
    ask(service, "import flood0")
    eventually(lambda: set(kept(service)) == {"flood0"})


def test_a_part_that_is_missing_does_not_keep_its_package_from_being_there(used):
    script = "try:\n    from large.gone.deeper import x\nexcept ImportError:\n    import large, small"
    for _ in range(10):
        assert used.client.execute(f"import sys\nahead = 'small' in sys.modules\n{script}\ndef main(): return ahead", profile="used").result is False
    eventually(lambda: kept(used).get("large small"))
