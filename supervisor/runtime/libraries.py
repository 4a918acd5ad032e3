"""The shared libraries of a tree: what the loader needs for every binary in it, wheels included."""

import os
import re
import shutil
import subprocess
from pathlib import Path

# What wheels may expect of any system beside what they bring (PEP 513, PEP 599), whether or not the packages of
# requirements.txt do: the C library's parts of before 2.34 are still asked for by their names.
EXPECTED = ("libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "libresolv.so.2", "librt.so.1",
            "libstdc++.so.6", "libutil.so.1")
LOADER = "usr/lib64/ld-linux-x86-64.so.2"


def copy(new, interpreter, root=Path("/")):
    """Copy them from below `root`, this host's or that of another system; returns what was copied."""
    needed = {}
    for path in [interpreter, *new.rglob("*.so"), *new.rglob("*.so.*")]:
        if not path.is_symlink():
            needed.update(needed_by(path, root))
    system = needed["libc.so.6"].resolve().parent
    for name in EXPECTED:
        if (system / name).exists():
            needed.setdefault(name, system / name)
    # Beside the C library: there its loader looks without being told, and there is no ld.so.cache.
    directory = new / in_usr(system, root)
    directory.mkdir(parents=True, exist_ok=True)
    copied = []
    for name, source in needed.items():
        if new not in source.parents:
            target = new / LOADER if name.startswith("ld-linux") else directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
            copied.append(source.resolve())
    return copied


def needed_by(path, root):
    """The shared libraries that a file is linked with, by the name that the loader looks for."""
    command = ["ldd", str(path)]
    if root != Path("/"):
        # By the other system's own loader, for the host's would find the host's.
        places = ":".join(str(root / place) for place in ("usr/lib/x86_64-linux-gnu", "usr/lib"))
        command = [str(root / LOADER), "--inhibit-cache", "--library-path", places, "--list", str(path)]
    found = {}
    for line in subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL).stdout.splitlines():
        match = re.match(r"\s*(?:(\S+) => )?(/\S+) \(0x", line)
        if match:
            source = Path(match.group(2))
            name = os.path.basename(match.group(1) or source)
            found[name] = root / LOADER if name.startswith("ld-linux") else source
    return found


def in_usr(path, root):
    """/lib and /lib64 are links into /usr in a sandbox, whatever they are on the system."""
    relative = str(path.relative_to(root.resolve()))
    return relative if relative.startswith("usr/") else f"usr/{relative}"
