"""Compiles the modules below a directory where they will lie, as many at once as there are processors.

Compiled files are used without a look at the source, for nothing in a build changes. Nothing is imported: what does not compile,
such as a template, stays as it is.
"""

import os
import py_compile
import sys


def sources(directory):
    for path, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if name != "__pycache__"]
        yield from (os.path.join(path, name) for name in names if name.endswith(".py"))


def compile_all(paths, parent):
    for path in paths:
        if os.getppid() != parent:
            os._exit(1)  # what asked for it is gone
        try:
            py_compile.compile(path, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        except (py_compile.PyCompileError, SyntaxError, ValueError, RecursionError, UnicodeError):
            pass


def main(directory, workers):
    paths = sorted(sources(directory))
    children, parent = [], os.getpid()
    for number in range(workers):
        child = os.fork()
        if child == 0:
            compile_all(paths[number::workers], parent)
            os._exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(1 if any(codes) else 0)


main(sys.argv[1], int(sys.argv[2]))
