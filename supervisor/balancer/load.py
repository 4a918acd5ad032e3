"""Clients that ask one after the other, and what each of their requests came to."""

import asyncio
import collections
import json
import time

SCRIPT = "import time\ndef main():\n    time.sleep({seconds})\n    return 'done'"
# Longer than any request waits, held or not.
PATIENCE = 40
# Who has no connection by then has sent nothing; some try another.
CONNECT_SECONDS = 2


class Lost(Exception):
    """A request without a whole answer; how it was lost."""


class NotConnected(Lost):
    """Nothing was sent, and it can be asked again."""


class Connection:
    """One that a client keeps for as long as it may."""

    def __init__(self):
        self.reader = self.writer = None
        self.opened = 0.0

    async def open(self, address, within=None):
        """Open it, unless it is; whether it had been used before."""
        if self.writer is not None and not self.reader.at_eof():
            return True
        await self.close()
        try:
            self.reader, self.writer = await asyncio.wait_for(asyncio.open_connection(*address), within)
        except (OSError, asyncio.TimeoutError) as error:
            raise NotConnected(f"not connected: {type(error).__name__}") from error
        self.opened = time.monotonic()
        return False

    async def close(self):
        if self.writer is not None:
            self.writer.close()
            self.reader = self.writer = None

    async def ask(self, request):
        """The status of the answer, and whether the connection may be kept."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        status, lines = int(head.split(b" ", 2)[1]), head.lower().split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
        await self.reader.readexactly(int(fields[b"content-length"]))
        return status, fields.get(b"connection") != b"close"


class Load:
    """All requests of a run: how many were served, and which were lost, when and how."""

    def __init__(self, address, clients, keeps, seconds, key=None, connects=1, patience=PATIENCE):
        body = json.dumps({"script": SCRIPT.format(seconds=seconds)}).encode()
        last = b"" if keeps else b"Connection: close\r\n"
        last += b"Authorization: Bearer %s\r\n" % key.encode() if key else b""
        self.request = (b"POST /execute HTTP/1.1\r\nHost: cloister\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
                        % (last, len(body), body))
        self.address, self.clients, self.keeps = address, clients, keeps
        # How often a client tries to connect for a request, and how long it waits for an answer.
        self.connects, self.patience = connects, patience
        self.served, self.reconnected, self.longest = 0, 0, 0.0
        self.lost = []
        # When the connections of these were opened.
        self.lost_on = []

    async def run(self, until):
        """Ask until this event; all that was asked is waited for."""
        await asyncio.gather(*(self.client(until) for _ in range(self.clients)))

    async def client(self, until):
        connection = Connection()
        while not until.is_set():
            began = time.monotonic()
            how = await self.one(connection)
            self.longest = max(self.longest, time.monotonic() - began)
            if how is None:
                self.served += 1
            else:
                self.lost.append((began, time.monotonic(), how))
                self.lost_on.append(connection.opened)
                await connection.close()
                # Who is refused at once would otherwise count it a thousand times a second.
                await asyncio.sleep(0.05)
        await connection.close()

    async def open(self, connection):
        for _ in range(self.connects - 1):
            try:
                return await connection.open(self.address, CONNECT_SECONDS)
            except NotConnected:
                self.reconnected += 1
        return await connection.open(self.address, self.patience)

    async def one(self, connection):
        """How a request was lost; None if it was served."""
        used = False
        try:
            used = await self.open(connection)
            status, stays = await asyncio.wait_for(connection.ask(self.request), self.patience)
        except Lost as lost:
            return str(lost)
        except asyncio.TimeoutError:
            return "no answer"
        except (OSError, asyncio.IncompleteReadError):
            return "cut, kept connection" if used else "cut, new connection"
        if not (stays and self.keeps):
            await connection.close()
        return None if status == 200 else str(status)

    def kinds(self, within=lambda began, ended: True):
        """How many of the lost were lost how, of those for whose time this holds."""
        return collections.Counter(how for began, ended, how in self.lost if within(began, ended))
