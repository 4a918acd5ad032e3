"""Many nodes behind a balancer, as a discrete-event simulation that the same seed repeats exactly.

Requests come at random (Poisson). Each is a job that costs processor time, a balancer chooses a node, and there the job runs if a slot is
free and waits in turn if not. Jobs that run share the node's processors evenly. At one moment some nodes are gone without a word.
"""

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, field

# Seconds of simulated time: until anything is measured, of measuring before nodes die, and of measuring when all is over.
WARM, BEFORE, LATER = 2.0, 4.0, 4.0


@dataclass(frozen=True)
class Setting:
    """One simulation. Times are in seconds, `load` and `dead` are shares: of all processors, and of the nodes."""

    nodes: int
    policy: str
    load: float
    dead: float = 0.0
    seed: int = 1
    processors: int = 2
    slots: int = 8
    queue: int = 256
    queue_wait: float = 10.0
    # How long a balancer sends to a node that is gone, and how long it then tries to connect before it asks another.
    notice: float = 3.0
    connect: float = 2.0


class Mix:
    """What jobs cost in seconds, drawn from what was measured in milliseconds."""

    def __init__(self, measured):
        self.workloads = [(each["share"], [cost / 1000 for cost in each["cpu_ms"]]) for each in measured["workloads"].values()]
        middle = [sum(low + high for low, high in zip(costs, costs[1:])) / 2 / (len(costs) - 1) for _, costs in self.workloads]
        self.mean = sum(share * each for (share, _), each in zip(self.workloads, middle))

    def draw(self, chance):
        which = chance.random()
        for share, costs in self.workloads:
            which -= share
            if which < 0:
                break
        at = chance.random() * (len(costs) - 1)
        low = int(at)
        return costs[low] + (at - low) * (costs[low + 1] - costs[low])


@dataclass
class Node:
    """`served` is what a job has got that has run for ever: all that run get the same, so each ends at a mark of its own."""

    served: float = 0.0
    since: float = 0.0
    version: int = 0
    there: int = 0
    gone: bool = False
    out: bool = False
    running: list = field(default_factory=list)
    waiting: deque = field(default_factory=deque)


@dataclass
class Seen:
    """What clients saw of the requests of one span, in seconds and counts."""

    latencies: list = field(default_factory=list)
    waits: list = field(default_factory=list)
    lost: int = 0
    refused: int = 0

    def add(self, other):
        self.latencies += other.latencies
        self.waits += other.waits
        self.lost += other.lost
        self.refused += other.refused


class Balancer:
    """Chooses among the nodes that it does not know to be gone; what it knows of them is how many requests it has there."""

    def __init__(self, policy, nodes, chance):
        self.nodes, self.chance = nodes, chance
        self.rotation = list(range(len(nodes)))
        self.turn = 0
        # Of `least connections`: the fewest first, and of these who had none for longest. Entries that are no longer so are passed over.
        self.fewest = [(0, number, number) for number in self.rotation] if policy == "least connections" else None
        self.choose = POLICIES[policy].__get__(self)

    def any(self):
        return self.rotation[int(self.chance.random() * len(self.rotation))]

    def next(self):
        self.turn += 1
        return self.rotation[self.turn % len(self.rotation)]

    def less_of_two(self):
        one, other = self.any(), self.any()
        return one if self.nodes[one].there <= self.nodes[other].there else other

    def least(self):
        while True:
            there, _, number = self.fewest[0]
            if self.nodes[number].there == there and not self.nodes[number].out:
                return number
            heapq.heappop(self.fewest)

    def count(self, number, change):
        self.nodes[number].there += change
        if self.fewest is not None:
            self.turn += 1
            heapq.heappush(self.fewest, (self.nodes[number].there, self.turn + len(self.nodes), number))

    def take_out(self):
        """All that are gone."""
        for node in self.nodes:
            node.out = node.gone
        self.rotation = [number for number in self.rotation if not self.nodes[number].out]


POLICIES = {"random": Balancer.any, "round robin": Balancer.next, "two choices": Balancer.less_of_two, "least connections": Balancer.least}


class Simulation:
    """One run. A request is its time of arrival and what it costs."""

    def __init__(self, setting, mix):
        self.setting, self.mix = setting, mix
        # All policies get the same requests.
        self.chance = random.Random(f"{setting.seed} {setting.nodes} {setting.load} {setting.dead}")
        self.nodes = [Node() for _ in range(setting.nodes)]
        self.balancer = Balancer(setting.policy, self.nodes, random.Random(setting.seed))
        self.events, self.order = [], 0
        self.dies = WARM + BEFORE
        self.over = self.dies + setting.notice + setting.connect
        self.ends = self.over + LATER
        self.before, self.during, self.later = Seen(), Seen(), Seen()
        self.warming = Seen()

    def run(self):
        """What came of requests that arrived before nodes died, until all had taken notice, and later."""
        setting = self.setting
        rate = setting.load * setting.nodes * setting.processors / self.mix.mean
        self.at(self.dies, self.die)
        self.at(self.dies + setting.notice, lambda _: self.balancer.take_out())
        arrives = self.chance.expovariate(rate)
        while arrives < self.ends or self.events:
            if arrives < self.ends and (not self.events or arrives <= self.events[0][0]):
                self.send(arrives, (arrives, self.mix.draw(self.chance)))
                arrives += self.chance.expovariate(rate)
            else:
                now, _, what, arguments = heapq.heappop(self.events)
                what(now, *arguments)
        return self.before, self.during, self.later

    def at(self, time, what, *arguments):
        self.order += 1
        heapq.heappush(self.events, (time, self.order, what, arguments))

    def span(self, request):
        arrived = request[0]
        if arrived < WARM:
            return self.warming
        return self.before if arrived < self.dies else self.during if arrived < self.over else self.later

    def send(self, now, request):
        number = self.balancer.choose()
        node = self.nodes[number]
        if not node.gone and len(node.running) >= self.setting.slots and len(node.waiting) >= self.setting.queue:
            self.span(request).refused += 1
            return
        self.balancer.count(number, 1)
        if node.gone:
            self.at(now + self.setting.connect, self.again, number, request)
        elif len(node.running) < self.setting.slots:
            self.start(now, node, request)
            self.plan(now, number)
        else:
            node.waiting.append((now, request))

    def again(self, now, number, request):
        """Nobody answered there."""
        self.balancer.count(number, -1)
        self.send(now, request)

    def share(self, node):
        return min(1.0, self.setting.processors / len(node.running)) if node.running else 0.0

    def start(self, now, node, request):
        node.served += (now - node.since) * self.share(node)
        node.since = now
        heapq.heappush(node.running, (node.served + request[1], request))

    def plan(self, now, number):
        """When the next of its jobs ends, if no other comes or goes before."""
        node = self.nodes[number]
        node.version += 1
        if node.running:
            self.at(now + max(0.0, node.running[0][0] - node.served) / self.share(node), self.end, number, node.version)

    def end(self, now, number, version):
        node = self.nodes[number]
        if node.version != version or node.gone:
            return
        node.served += (now - node.since) * self.share(node)
        node.since = now
        _, request = heapq.heappop(node.running)
        self.balancer.count(number, -1)
        self.span(request).latencies.append(now - request[0])
        while node.waiting and len(node.running) < self.setting.slots:
            came, waiter = node.waiting.popleft()
            if now - came > self.setting.queue_wait:
                self.balancer.count(number, -1)
                self.span(waiter).refused += 1
            else:
                self.span(waiter).waits.append(now - came)
                self.start(now, node, waiter)
        self.plan(now, number)

    def die(self, now):
        """With all that was there, whether it had begun or waited: the balancer cannot know."""
        for number in self.chance.sample(range(len(self.nodes)), math.ceil(self.setting.dead * len(self.nodes))):
            node = self.nodes[number]
            node.gone = True
            for request in [request for _, request in [*node.running, *node.waiting]]:
                self.span(request).lost += 1
                self.balancer.count(number, -1)
            node.running, node.waiting = [], deque()
