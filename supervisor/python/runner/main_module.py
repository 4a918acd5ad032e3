"""The script as Python's main module: in `sys.modules`, with a file of its own that can be read again.

The file lies where the script runs, so that what stands beside it is found by its name, and so that whoever starts the
script anew (multiprocessing's and joblib's workers, a second interpreter) finds it as Python does.
"""

import builtins
import os
import sys
import types
from _frozen_importlib_external import SourceFileLoader

from .captured import FILE_NAME, os_close, os_getcwd, os_open, os_write, sys_modules

# What the main module is called, and what `multiprocessing` calls it too.
MAIN_NAMES = ("__main__", "__mp_main__")
# O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
NEW_FILE = 0o1 | 0o100 | 0o200 | 0o2000000
new_module, loaders = types.ModuleType, {}


def file_name(files):
    """The name of the script's file: none of those that the request brings."""
    if not files:
        return FILE_NAME
    name, directory = FILE_NAME, os_getcwd() + "/"
    while any(path == directory + name for path, _ in files):
        name = "_" + name
    return name


def become_main(script, name, argv=()):
    """The new `__main__`, empty as yet. Its directory is the last on the path, so that no file there hides a module."""
    directory = os_getcwd()
    path = f"{directory.rstrip('/')}/{name}"
    write_script(script, path)
    module = new_module("__main__")
    names = module.__dict__
    names["__loader__"] = loader_of(path)
    names["__annotations__"] = {}
    names["__builtins__"] = builtins
    names["__file__"] = path
    names["__cached__"] = None
    for other in MAIN_NAMES:
        if other == "__main__" or other in sys_modules:
            sys_modules[other] = module
    sys.path.append(directory)
    sys.argv = [name, *argv]
    return module


def loader_of(path):
    """One for each path, and made by a rehearsal where that has the same: so it is not made in each job."""
    if path not in loaders:
        loaders[path] = SourceFileLoader("__main__", path)
    return loaders[path]


def write_script(script, path):
    """Where there is no room for it, the script runs all the same: only who reads it again sees that."""
    try:
        file = os_open(path, NEW_FILE, 0o666)
    except OSError:
        return
    try:
        left = encoded(script)
        while left:
            left = left[os_write(file, left) :]
    except OSError:
        pass
    os_close(file)


def encoded(script):
    """As its own first lines say that it is encoded, for that is how it will be read: PEP 263."""
    if "coding" in script[:400]:
        import io
        import tokenize

        try:
            return script.encode(tokenize.detect_encoding(io.BytesIO(script.encode()).readline)[0])
        except (SyntaxError, UnicodeError, LookupError):
            pass
    return script.encode()


def remove_script(module):
    """As if it had not been: for a script of nobody's."""
    try:
        os.unlink(module.__file__)
    except OSError:
        pass
