import marshal
import posix

# Others read from the same open file at the same time.
code = marshal.loads(posix.pread(6, posix.fstat(6).st_size, 0))
posix.close(6)
exec(globals().pop("code"))
