"""What of packages and libraries nothing in a sandbox can have a use for, taken out of a tree that is being made."""

import shutil
import subprocess

# Only the tests themselves: what stands beside them in those directories is imported from elsewhere.
TESTS = ("*/**/test/**/test_*.py", "*/**/tests/**/test_*.py", "numpy/**/tests/data")
# Programs, manuals, what only editors read, and sources of what is compiled: there is no compiler.
UNUSED = ("bin", "share", *(f"**/*.{kind}" for kind in ("a", "c", "cpp", "h", "pxd", "pyi", "pyx")))


def packages(directory):
    """A directory of packages as pip has left it."""
    for pattern in (*TESTS, *UNUSED):
        for path in list(directory.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def libraries(new):
    """Take what only debuggers read out of shared libraries; not of those that wheels bring for themselves (`NAME.libs`),
    whose parts were moved by tools that leave no room to move them again."""
    if not shutil.which("strip"):
        return
    for path in [*new.rglob("*.so"), *new.rglob("*.so.*")]:
        if not path.is_symlink() and not path.parent.name.endswith(".libs"):
            subprocess.run(["strip", "--strip-debug", str(path)], capture_output=True, stdin=subprocess.DEVNULL, check=False)
