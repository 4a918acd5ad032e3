import marshal
import sys
from _frozen_importlib_external import MAGIC_NUMBER

text = sys.argv[1]
code = marshal.dumps(compile(text, "<string>", "exec", dont_inherit=True))
with open(1, "wb") as out:
    out.write(MAGIC_NUMBER + len(code).to_bytes(8, "big") + code + text.encode())
