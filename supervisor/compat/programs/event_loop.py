"""asyncio: tasks, a pool of threads, a Unix server and its client, a child process, a signal handler."""

import asyncio
import os
import signal
import sys


async def serve_one_line():
    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, path="server.sock")
    reader, writer = await asyncio.open_unix_connection("server.sock")
    writer.write(b"hello\n")
    line = await reader.readline()
    writer.close()
    server.close()
    return line.decode()


async def child():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(input() * 2)",
                                                   stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    return (await process.communicate(b"ab"))[0].decode()


async def signalled():
    arrived = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, arrived.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await arrived.wait()
    return "SIGUSR1"


async def all_of_it():
    numbers = await asyncio.gather(*(asyncio.to_thread(pow, 2, n) for n in range(8)))
    return [numbers, await serve_one_line(), await child(), await signalled()]


def main():
    return asyncio.run(all_of_it())
