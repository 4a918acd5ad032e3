"""The event loop of a session, kept over its cells: what a cell has begun in it goes on while a later one awaits."""

from _signal import SIGINT, default_int_handler, getsignal
from _signal import signal as set_signal

from .captured import sys_modules

loops = []


def prepare_loop():
    """The session's loop, where asyncio is imported: the one that its functions find."""
    try:
        if "asyncio" in sys_modules:
            take_up_loop()
    except Exception:  # a session may have made of asyncio what it likes; cells that await are told
        pass


def take_up_loop():
    import asyncio

    if not loops or loops[0].is_closed():
        from selectors import PollSelector

        # What epoll(7) keeps would be shared with a copy of the process.
        loops[:] = [asyncio.SelectorEventLoop(PollSelector())]
    asyncio.set_event_loop(loops[0])


def renew_loop():
    """In a copy of the process, where none of the threads is that worked for the loop."""
    if loops:
        loops[0]._default_executor = None


def run_awaiting(coroutine):
    """What a coroutine comes to. An interrupt is raised where code runs, and where all wait it calls the coroutine off."""
    import asyncio

    take_up_loop()
    loop, tasks, called_off = loops[0], [], []

    async def awaited():
        try:
            return await coroutine
        except asyncio.CancelledError as error:
            if called_off:
                raise KeyboardInterrupt().with_traceback(error.__traceback__) from None
            raise

    def interrupt(number, frame):
        if called_off or any(task.done() for task in tasks) or is_in_step(frame, asyncio.events.Handle._run.__code__):
            raise KeyboardInterrupt
        called_off.append(True)
        for task in tasks:
            task.cancel()
            loop.call_soon_threadsafe(nothing)

    ours = getsignal(SIGINT) is default_int_handler
    try:
        if ours:
            set_signal(SIGINT, interrupt)
        tasks.append(loop.create_task(awaited()))
        if called_off:
            tasks[0].cancel()
        return loop.run_until_complete(tasks[0])
    except asyncio.CancelledError:
        if called_off:
            raise KeyboardInterrupt from None
        raise
    except (KeyboardInterrupt, SystemExit):
        for task in tasks:
            end_task(loop, task)
        raise
    finally:
        if ours and getsignal(SIGINT) is interrupt:
            set_signal(SIGINT, default_int_handler)
        if not tasks or tasks[0].done():
            coroutine.close()


def end_task(loop, task):
    """Let the coroutine of a cell that is to end do what it does at its end."""
    if task.cancel():
        try:
            loop.run_until_complete(task)
        except BaseException:
            pass
    elif not task.cancelled():
        task.exception()  # it has been told


def is_in_step(frame, step):
    while frame is not None:
        if frame.f_code is step:
            return True
        frame = frame.f_back
    return False


def nothing():
    pass
