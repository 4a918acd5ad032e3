"""Handlers of signals, a session's own and the interrupt: they run while a cell does.

At rest none of them runs, for one may raise, and nobody is there whom it would concern. What comes then comes when the next cell
begins, an interrupt too: the supervisor interrupts a cell as soon as it has decided on it.
"""

from _signal import SIGINT, SIGURG, default_int_handler, getsignal, raise_signal, valid_signals
from _signal import signal as set_signal

SIGNALS = sorted(valid_signals())
MOST_TRIES = 1000


class Handlers:
    def __init__(self):
        self.kept, self.came = {}, []
        self.note = lambda number, frame: self.came.append(number)

    def silence(self):
        """From now on what comes is noted."""
        for number in SIGNALS:
            for _ in range(MOST_TRIES):
                try:
                    handler = getsignal(number)
                    if callable(handler) and handler is not self.note and handler is not nudged:
                        self.kept[number] = handler
                        set_signal(number, self.note)
                    break
                except BaseException:  # of the handler that is taken away: the cell is over
                    pass

    def forget_interrupt(self):
        """One that came too late for its cell is over with it."""
        self.came = [number for number in self.came if number not in (SIGINT, SIGURG)]

    def give_back(self):
        """From now on they are the session's again; what came is theirs, and what they raise is raised."""
        raised, left = None, [*self.kept.items()]
        self.kept, came = {}, self.came
        while left or came:
            try:
                while left:
                    set_signal(*left[-1])
                    left.pop()
                while came:
                    raise_signal(came.pop())
            except BaseException as error:
                raised = error
        if raised is not None:
            raise raised


def heed_interrupts():
    """Have an interrupt raised, and a nudge end the call of the system that an interrupt came just ahead of.

    Python looks for signals between its steps: one that comes behind the last look is not seen before the call that follows is over, and
    that may sleep. The supervisor nudges what it has interrupted. Where a cell takes the handler away, nudges are ignored: signal(7).
    """
    set_signal(SIGINT, default_int_handler)
    set_signal(SIGURG, nudged)


def nudged(number, frame):
    pass  # at rest no less, so that it is left where it is
