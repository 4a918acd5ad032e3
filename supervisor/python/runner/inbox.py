"""What a session's supervisor writes between cells: frames, and the content of files behind them. A cell's calls may have read ahead."""

from .captured import RETURNS_FD, json_scan, os_exit, os_read

# With what frames begin that return to a call: of a cell that is over.
OF_A_CALL = b'{"call":'


class Inbox:
    def __init__(self):
        # Which calls of a cell read, too.
        self.parts = []

    def take(self, count, whole=True):
        """So many bytes, or some of them; the end of the process when nobody writes any more."""
        begun = b"".join(self.parts)
        self.parts[:] = [begun[count:]] if len(begun) > count else []
        taken = [begun[:count]]
        left = count - len(taken[0])
        while left and (whole or not begun):
            begun = os_read(RETURNS_FD, min(left, 1 << 20))
            if not begun:
                os_exit(0)
            taken.append(begun)
            left -= len(begun)
        return b"".join(taken)

    def next_order(self):
        while True:
            body = self.take(int.from_bytes(self.take(8), "big"))
            if not body.startswith(OF_A_CALL):
                return json_scan(body.decode(), 0)[0]
