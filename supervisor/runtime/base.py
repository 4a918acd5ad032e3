"""What a Python tree tells of itself in `base.json` beside `usr/`: its interpreter, its C library, and the packages in it.

Who reads it need not run anything of the tree. It is the tree's own interpreter that is asked, at /usr as a sandbox sees it.
"""

import json
import subprocess
import tempfile
from pathlib import Path

ASK = """
import importlib.metadata, inspect, json, os, platform, re, site, sys

where = next(path for path in site.getsitepackages(["/usr"]) if path.startswith("/usr/lib"))
packages, modules = {}, set()
for found in importlib.metadata.distributions(path=[where]):
    packages[re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()] = found.version
    for file in found.files or ():
        # One that stands alone is a module or is none; a directory is one where there is code in it.
        name = file.parts[0] if len(file.parts) > 1 and file.suffix in (".py", ".so") else inspect.getmodulename(file.parts[0])
        if name and name.isidentifier():
            modules.add(name)
print(json.dumps({
    "python": platform.python_version(),
    "tag": f"cp{sys.version_info[0]}{sys.version_info[1]}",
    "libc": os.confstr("CS_GNU_LIBC_VERSION").split()[-1],
    "site": where,
    "packages": [{"name": name, "version": packages[name]} for name in sorted(packages)],
    "modules": sorted(modules),
}))
"""


def run_in(tree, program, *arguments):
    """Run a program with the tree's interpreter, as a sandbox will see it: at /usr, with nothing else."""
    with tempfile.TemporaryDirectory(prefix="cloister-root-") as root:
        for name in ("lib", "lib64", "bin"):
            (Path(root) / name).symlink_to(f"usr/{name}")
        for name in ("usr", "tmp"):
            (Path(root) / name).mkdir()
        # In a mount namespace of its own, so that the mount goes when the program ends, however it ends.
        script = 'mount --bind "$1/usr" "$2/usr" && root=$2 && shift 2 && exec chroot "$root" /usr/bin/python3 -I -X utf8 -B -c "$@"'
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(tree), root, program, *arguments]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}
        return subprocess.run(command, env=environment, text=True, capture_output=True, stdin=subprocess.DEVNULL)


def write(tree):
    """Write it; what went wrong, if something did."""
    asked = run_in(tree, ASK)
    if asked.returncode != 0:
        return asked.stderr
    (tree / "base.json").write_text(json.dumps(json.loads(asked.stdout), indent=1) + "\n")
    return None
