"""A `main` that the script's top level has called in a process that it forks: that call is the run, too.

The top level asks once it is done, and by then a child may not have come to its call yet. So a process of multiprocessing's
whose target is `main` counts from its fork. Of all others the child tells, in a file without a name that both of them have.
"""

import os

from .captured import os_close, os_getpid, os_write, sys_getframe

# Where multiprocessing forks: the frame that has the process which is about to be.
LAUNCH, LAUNCHED = "_launch", "process_obj"


class Elsewhere:
    def __init__(self, is_main):
        self.is_main, self.owner, self.mark, self.given = is_main, os_getpid(), None, False
        os.register_at_fork(before=self.before_fork)

    def before_fork(self):
        if self.is_main is None:
            return
        try:
            if self.mark is None:
                self.mark = os.memfd_create("main")
            frame = sys_getframe(1)
            if frame.f_code.co_name == LAUNCH:
                self.given = self.given or self.is_main(getattr(frame.f_locals.get(LAUNCHED), "_target", None))
        except Exception:  # a fork is no less a fork for it
            pass

    def tell(self):
        """Called where `main` is."""
        if self.mark is not None and os_getpid() != self.owner:
            try:
                os_write(self.mark, b"!")
            except OSError:
                pass

    @property
    def called(self):
        try:
            return self.given or self.mark is not None and os.fstat(self.mark).st_size > 0
        except OSError:
            return self.given

    def close(self):
        self.is_main = None
        if self.mark is not None:
            try:
                os_close(self.mark)
            except OSError:
                pass
        self.mark = None
