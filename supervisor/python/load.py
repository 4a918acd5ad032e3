import marshal
import posix
from _frozen_importlib_external import MAGIC_NUMBER

CODE_FD = 6
# Others read from the same open file at the same time.
runner = posix.pread(CODE_FD, posix.fstat(CODE_FD).st_size, 0)
posix.close(CODE_FD)
# The runtime may be another than when it was compiled, and the code then nothing to it. Behind it is the text.
if runner.startswith(MAGIC_NUMBER):
    runner = marshal.loads(memoryview(runner)[12:])
else:
    runner = runner[12 + int.from_bytes(runner[4:12], "big") :].decode()
exec(globals().pop("runner"))
