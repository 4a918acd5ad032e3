"""How many jobs there can be: asleep at once, parked, and one after another."""

import asyncio
import re
import sys
import time
from pathlib import Path
from statistics import median

import httpx

from subjects import Cloister

AT_ONCE = 1000
ASLEEP = "import time\ndef main(number):\n    time.sleep(60)\n    return number"
TRIVIAL = "def main(number):\n    return number"

from service import host_processes, name_of  # noqa: E402


def measure(jobs):
    return {"at once": at_once(), "parked": parked(), "in a row": in_a_row(jobs)}


def at_once():
    """All of a thousand jobs asleep together, and every one answered."""
    # All of them come from one address, which may have seven eighths of the places and half of the queue.
    cloister = Cloister("dense", warm=True, policy=long_enough(), slots=AT_ONCE * 8 // 7 + 8, queue=AT_ONCE * 2)
    cloister.start()
    try:
        begun = time.perf_counter()
        right, most = asyncio.run(all_asleep(cloister))
        return {"jobs": AT_ONCE, "answered": right, "most at once": most, "seconds": time.perf_counter() - begun}
    finally:
        cloister.stop()


async def all_asleep(cloister):
    """How many were answered right, and the most that were seen at once."""

    async def one(client, number):
        body = {"script": ASLEEP, "args": [number], "profile": "patient"}
        answer = (await client.post("/execute", json=body)).json()
        if answer.get("result") != number:
            print(f"bench: a sleeping job: {str(answer)[:300]}", file=sys.stderr)
        return answer.get("result") == number

    seen = []

    async def look():
        while True:
            seen.append(await asyncio.to_thread(lambda: len(cloister.service.job_processes())))

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=cloister.url, timeout=300, trust_env=False, limits=limits) as client:
        looking = asyncio.create_task(look())
        answers = await asyncio.gather(*(one(client, number) for number in range(AT_ONCE)))
        looking.cancel()
    return sum(answers), max(seen)


def long_enough():
    """A profile whose time holds a thousand starts before the first job may end."""
    return '[profile.patient]\nextends = "default"\nwall_time = "2m"\nwarm = { imports = ["numpy", "pandas"], parked = 8 }\n'


def parked():
    """What a parked child holds for itself alone and its share of the rest, in KiB."""
    cloister = Cloister("parked", warm=True)
    cloister.start()
    try:
        cloister.service.settle()
        children = [pid for pid in cloister.service.processes() if name_of(pid) == "parked"]
        rows = [smaps(pid) for pid in children]
        return {"children": len(rows), "pss_kib": median(row["Pss"] for row in rows),
                "private_kib": median(row["Private_Clean"] + row["Private_Dirty"] for row in rows)}
    finally:
        cloister.stop()


def smaps(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(value) for name, value in re.findall(r"(?m)^(\w+):\s+(\d+) kB", text)}


def in_a_row(jobs):
    """Medians of the first and of the last tenth of many jobs, one after another on one connection."""
    cloister = Cloister("long", warm=True)
    cloister.start()
    try:
        times = []
        for number in range(jobs):
            begun = time.perf_counter()
            assert cloister.service.client.execute(TRIVIAL, args=[number]).result == number
            times.append((time.perf_counter() - begun) * 1000)
        tenth = max(1, jobs // 10)
        return {"jobs": jobs, "first_ms": median(times[:tenth]), "last_ms": median(times[-tenth:])}
    finally:
        cloister.stop()
