import marshal
import sys

with open(1, "wb") as code:
    marshal.dump(compile(sys.argv[1], "<string>", "exec", dont_inherit=True), code)
