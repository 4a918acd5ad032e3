"""The event loop of a session, kept over its cells: what a cell has begun in it goes on while a later one awaits."""

from _signal import SIGINT, default_int_handler, getsignal
from _signal import signal as set_signal

from .captured import OURS, sys_modules

loops = []
TRIES_TO_END = 3


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


def renew_wake_up():
    """In a branch, beside which the session goes on: what wakes the loop of one is not to wake the other's."""
    if loops and not loops[0].is_closed():
        loops[0]._close_self_pipe()
        loops[0]._make_self_pipe()


def run_awaiting(code, namespace):
    """What the coroutine of a code comes to. An interrupt is raised where code runs, and where all wait it calls the coroutine off."""
    import asyncio

    take_up_loop()
    loop, tasks, called_off = loops[0], [], []

    async def awaited():
        try:
            return await eval(code, namespace)
        except asyncio.CancelledError as error:
            if called_off:
                raise KeyboardInterrupt().with_traceback(error.__traceback__) from None
            raise

    def interrupt(number, frame):
        ended = called_off or runs_code(frame, asyncio.events.Handle._run.__code__)
        called_off.append(True)
        if ended:
            raise KeyboardInterrupt
        for task in tasks:
            loop.call_soon_threadsafe(task.cancel)

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
        end_tasks(loop, tasks)
        raise
    finally:
        if ours and getsignal(SIGINT) is interrupt:
            set_signal(SIGINT, default_int_handler)


def end_tasks(loop, tasks):
    """Let the coroutine of a cell that is to end do what it does at its end, and the loop what is left of this run."""
    for _ in range(TRIES_TO_END):
        try:
            for task in tasks:
                if task.cancel():
                    loop.run_until_complete(task)
            # Of a run that was left by an exception, the end may come in the next one: it would be the end of that.
            loop.call_soon(loop.stop)
            loop.run_forever()
            break
        except BaseException:
            pass
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # it has been told


def runs_code(frame, step):
    """Whether a step of a loop runs code of the session's. In the loop's own code an exception would be the end of what is only on its way."""
    is_code = False
    while frame is not None and frame.f_code is not step:
        module = frame.f_globals.get("__name__")
        is_code = is_code or not (frame.f_globals is OURS or type(module) is str and module.startswith("asyncio."))
        frame = frame.f_back
    return is_code and frame is not None
