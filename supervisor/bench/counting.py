"""Counts what processes cost, exactly and without tools that a host may lack: by what the kernel tells of each that ends
(taskstats, of all processes that have ended), by /proc of those that go on, and by the trace of system calls.

Others see nothing of it: the trace has a buffer of its own (an instance), which is removed again, and tracefs is mounted
nowhere.
"""

import ctypes
import os
import re
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

# linux/netlink.h, linux/genetlink.h, linux/taskstats.h
NETLINK_GENERIC, FAMILY_OF_FAMILIES, GET_FAMILY, FAMILY_ID, FAMILY_NAME = 16, 16, 3, 1, 2
ERROR, REQUEST = 2, 1
GET, OF_TGID, REGISTER = 1, 2, 3
STATS, AGGREGATE_PID, AGGREGATE_TGID = 3, 4, 5
# The fields that are used, at their places in struct taskstats, which only grows at its end.
TASK = {"cpu_ns": 72, "minor_faults": 168, "major_faults": 176, "voluntary": 272, "involuntary": 280}
# linux/mount.h
FSOPEN, FSCONFIG, FSMOUNT, FSCONFIG_CMD_CREATE = 430, 431, 432, 6


class Uncountable(Exception):
    """The host's kernel does not tell; the message says what and why."""


class Ends:
    """Hears of each task on the host that ends, and what it has cost: Documentation/accounting/taskstats.rst."""

    def __init__(self):
        try:
            self.family = family("TASKSTATS")
        except OSError as error:
            raise Uncountable(f"the kernel does not tell what a process has cost (taskstats): {error}") from None
        self.asking, self.hearing = generic_netlink(), generic_netlink()
        self.hearing.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
        processors = Path("/sys/devices/system/cpu/possible").read_text().strip()
        ask(self.hearing, self.family, GET, REGISTER, processors.encode() + b"\0")

    def close(self):
        self.asking.close()
        self.hearing.close()

    def new(self):
        """Those that have ended since the last call, as (id of the user, what it has cost)."""
        ended = []
        while True:
            try:
                message = self.hearing.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return ended
            for kind, content in attributes(payload(message, self.family)):
                if kind == AGGREGATE_PID:
                    stats = dict(attributes(content))[STATS]
                    ended.append((struct.unpack_from("=I", stats, 120)[0], read_task(stats)))

    def switches(self, process):
        """Context switches of a process that goes on, of those of its threads that have ended too."""
        ask(self.asking, self.family, GET, OF_TGID, struct.pack("=I", process))
        found = dict(attributes(payload(self.asking.recv(1 << 16), self.family)))
        stats = read_task(dict(attributes(found[AGGREGATE_TGID]))[STATS])
        return {name: stats[name] for name in ("voluntary", "involuntary")}


def living(ends, process):
    """What a process that goes on has cost until now."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return {"cpu_ns": cpu_ns(process), "minor_faults": int(fields[7]), "major_faults": int(fields[9]), **ends.switches(process)}


def cpu_ns(process):
    """The clock of a process's CPU time: clock_getcpuclockid(3)."""
    return time.clock_gettime_ns((~process << 3) | 2)


def read_task(stats):
    return {name: struct.unpack_from("=Q", stats, place)[0] for name, place in TASK.items()}


def generic_netlink():
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)


def family(name):
    with generic_netlink() as asking:
        ask(asking, FAMILY_OF_FAMILIES, GET_FAMILY, FAMILY_NAME, name.encode() + b"\0")
        return struct.unpack("=H", dict(attributes(payload(asking.recv(1 << 16), FAMILY_OF_FAMILIES)))[FAMILY_ID])[0]


def ask(asking, kind, command, attribute, value):
    body = struct.pack("=BBxxHH", command, 1, 4 + len(value), attribute) + value + b"\0" * (-len(value) % 4)
    asking.send(struct.pack("=IHHII", 16 + len(body), kind, REQUEST, 0, 0) + body)


def payload(message, kind):
    _, got, _, _, _ = struct.unpack_from("=IHHII", message)
    if got == ERROR:
        [number] = struct.unpack_from("=i", message, 16)
        raise OSError(-number, os.strerror(-number))
    assert got == kind, got
    return message[20:]


def attributes(content):
    while len(content) >= 4:
        size, kind = struct.unpack_from("=HH", content)
        yield kind & 0x3FFF, content[4:size]
        content = content[(size + 3) & ~3 :]


class Calls:
    """Records the system calls of some tasks and of all that descend from them: Documentation/trace/events.rst."""

    EVENTS = ("raw_syscalls/sys_enter", "sched/sched_process_fork", "sched/sched_process_exec")
    LINE = re.compile(r"-(\d+) +\[\d+\].*?: (?:sys_enter: NR (-?\d+)|sched_process_fork: .*child_pid=(\d+)|(sched_process_exec): )")

    def __init__(self, tasks):
        self.tracefs = detached("tracefs")
        self.name, self.pipe = f"instances/cloister-{os.getpid()}", None
        try:
            self.remove_stale()
            os.mkdir(self.name, dir_fd=self.tracefs)
            self.pipe = os.open(f"{self.name}/trace_pipe", os.O_RDONLY | os.O_NONBLOCK, dir_fd=self.tracefs)
            self.write("buffer_size_kb", "8192")
            self.write("options/event-fork", "1")
            self.write("set_event_pid", " ".join(str(task) for task in tasks))
            for event in self.EVENTS:
                self.write(f"events/{event}/enable", "1")
        except OSError as error:
            self.close()
            raise Uncountable(f"the kernel does not let its system calls be traced: {error}") from None

    def close(self):
        if self.pipe is not None:
            os.close(self.pipe)
            os.rmdir(self.name, dir_fd=self.tracefs)
        os.close(self.tracefs)

    def remove_stale(self):
        """Instances stay when who made them is killed; one that somebody reads cannot be removed."""
        for name in os.listdir(directory := os.open("instances", os.O_RDONLY, dir_fd=self.tracefs)):
            owner = name.removeprefix("cloister-")
            if owner != name and (owner == str(os.getpid()) or not Path(f"/proc/{owner}").exists()):
                with suppress(OSError):
                    os.rmdir(f"instances/{name}", dir_fd=self.tracefs)
        os.close(directory)

    def write(self, file, text):
        opened = os.open(f"{self.name}/{file}", os.O_WRONLY, dir_fd=self.tracefs)
        try:
            os.write(opened, text.encode())
        finally:
            os.close(opened)

    def new(self):
        """What was recorded since the last call: ("call", task, number), ("fork", task, child) and ("exec", task, None)."""
        text = b""
        while True:
            try:
                part = os.read(self.pipe, 1 << 16)
            except BlockingIOError:
                break
            text += part
        assert b"LOST" not in text, "the buffer of the trace is too small"
        for task, number, child, executed in self.LINE.findall(text.decode(errors="replace")):
            if executed:
                yield "exec", int(task), None
            elif child:
                yield "fork", int(task), int(child)
            else:
                yield "call", int(task), int(number)


def detached(kind):
    """A file system that is mounted nowhere: a descriptor of its root. fsopen(2), fsmount(2)"""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number, *arguments):
        result = libc.syscall(number, *arguments)
        if result < 0:
            raise Uncountable(f"the kernel gives no {kind}: {os.strerror(ctypes.get_errno())}")
        return result

    context = call(FSOPEN, kind.encode(), 0)
    try:
        call(FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
        return call(FSMOUNT, context, 0, 0)
    finally:
        os.close(context)
