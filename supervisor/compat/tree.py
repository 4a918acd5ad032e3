#!/usr/bin/env python3
"""Build the tree that `make compat` runs in: the runtime's, with the standard library's tests and more packages.

Usage: tree.py RUNTIME TREE. RUNTIME is what supervisor/runtime/build.py made; a tree that is up to date is left alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

RUNTIME_TOOLS = Path(__file__).resolve().parents[1] / "runtime"
sys.path.insert(0, str(RUNTIME_TOOLS))
import build
import libraries

REQUIREMENTS = RUNTIME_TOOLS / "requirements-compat.txt"
# Extension modules that only tests import.
TEST_MODULES = ("_test*.so", "_ctypes_test*.so", "_xxtestfuzz*.so", "xx*.so")


def main():
    runtime, tree = (Path(argument).resolve() for argument in sys.argv[1:])
    digest = stamp(runtime)
    if (tree / "compat-stamp").is_file() and (tree / "compat-stamp").read_text() == digest:
        return
    print(f"compat: making {tree}", flush=True)
    shutil.rmtree(tree, ignore_errors=True)
    tree.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(runtime), str(tree)], check=True)
    add_tests(tree / build.TREE_STDLIB)
    # Upgrading in place replaces numpy and pandas, of which the runtime has no tests, by the whole of them.
    build.install_packages(REQUIREMENTS.name, tree / build.site_directory(), "--upgrade")
    interpreter = tree / "usr/bin" / build.STDLIB.name
    libraries.copy(tree, interpreter)
    # Each module is an interpreter of its own, twice, and cannot keep what it compiles.
    build.compile_all(tree)
    build.settle_modes(tree, interpreter)
    # Laid over the host's /usr (places.py), it shows nothing of a Python that the host has there.
    os.setxattr(tree / build.TREE_STDLIB, "trusted.overlay.opaque", b"y")
    (tree / "compat-stamp").write_text(digest)


def add_tests(library):
    if not (build.STDLIB / "test/libregrtest").is_dir():
        sys.exit("compat: this interpreter comes without its tests: name another with PYTHON=")
    shutil.copytree(build.STDLIB / "test", library / "test", ignore=shutil.ignore_patterns("__pycache__"))
    for directory in build.STDLIB.glob("*/test*"):
        if (directory / "__init__.py").exists() and (library / directory.parent.name).is_dir():
            shutil.copytree(directory, library / directory.relative_to(build.STDLIB), dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("__pycache__"))
    add_multiprocessing(library / "test")
    for pattern in TEST_MODULES:
        for module in (build.STDLIB / "lib-dynload").glob(pattern):
            shutil.copy(module, library / "lib-dynload")


def add_multiprocessing(tests):
    """What packers leave out and the test runner looks for: multiprocessing's modules, one for each way to start a process."""
    (tests / "test_concurrent_futures").mkdir(exist_ok=True)
    for method in ("fork", "forkserver", "spawn"):
        directory = tests / f"test_multiprocessing_{method}"
        if directory.exists() or directory.with_suffix(".py").exists():
            continue
        directory.mkdir()
        (directory / "__init__.py").touch()
        for kind, options in (("processes", "only_type='processes'"), ("threads", "only_type='threads'"),
                              ("manager", "only_type='manager'"), ("misc", "exclude_types=True")):
            text = f"import test._test_multiprocessing as tests\ntests.install_tests_in_module_dict(globals(), {method!r}, {options})\n"
            (directory / f"test_{kind}.py").write_text(text)


def stamp(runtime):
    parts = (REQUIREMENTS, Path(__file__), runtime / "stamp")
    return hashlib.sha256(b"".join(hashlib.sha256(part.read_bytes()).digest() for part in parts)).hexdigest()


if __name__ == "__main__":
    main()
