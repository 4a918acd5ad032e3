"""Two hundred modules of the standard library, imported by name; what cannot be imported is named."""

import importlib
import sys

# What a sandbox has no use for is left out of its tree: screens, package indexes, the tests.
NOT_THERE = {"antigravity", "ensurepip", "idlelib", "lib2to3", "nis", "this", "tkinter", "turtle", "turtledemo"}
OF_OTHER_SYSTEMS = {"msvcrt", "msilib", "winreg", "winsound", "nt", "ossaudiodev", "spwd"}


def main():
    names = sorted(name for name in sys.stdlib_module_names
                   if not name.startswith("_") and name not in NOT_THERE | OF_OTHER_SYSTEMS)
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            failed[name] = repr(error)
    return {"two hundred": len(names) >= 200, "not imported": failed}
