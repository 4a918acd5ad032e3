"""What attack scripts begin with: raw system calls, and answers as names instead of exceptions."""

PRELUDE = '''
import ctypes, errno, os, socket, struct

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
NAMESPACES = {"mnt": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
              "pid": 0x20000000, "net": 0x40000000, "time": 0x80}

def syscall(number, *arguments):
    """The call's value, or the name of its error."""
    arguments = [a if isinstance(a, (bytes, type(None), ctypes.Array, ctypes.Structure)) else ctypes.c_long(a) for a in arguments]
    ctypes.set_errno(0)
    value = _libc.syscall(ctypes.c_long(number), *arguments)
    return errno.errorcode.get(ctypes.get_errno(), "E?") if value == -1 else value

def attempt(call, *arguments):
    """What a function returned, as text, or the name of its error."""
    try:
        return repr(call(*arguments))[:200]
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
'''


def attack(body):
    """A script: the prelude and a body that defines main()."""
    import textwrap

    return PRELUDE + textwrap.dedent(body)
