#!/usr/bin/env python3
"""Build a Python tree of another release of Debian than this host's: its interpreter and its C library, side by side with the first.

Usage: other_python.py RELEASE VERSION TREE, such as `other_python.py trixie 3.13 /var/lib/cloister/python313`. The packages
come from where apt fetches this host's own; nothing of them is installed. What scripts may import is that of build.py.
A tree that is up to date is left alone; a new one is complete and has been tried before it takes the old one's place.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import base
import build
import debian
import libraries
import place

# Beside what the interpreter depends on.
MORE = ("libc-bin", "libgcc-s1", "libstdc++6", "tzdata")

# By the tree's own interpreter, for what it compiles is for no other.
COMPILE = """
import compileall, sys
from py_compile import PycInvalidationMode
for directory in sys.argv[1:]:
    compileall.compile_dir(directory, quiet=2, force=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
"""


def main():
    os.umask(0o022)
    build.check_machine()
    if len(sys.argv) != 4 or not re.fullmatch(r"3\.\d+", sys.argv[2]):
        sys.exit(f"runtime: {__doc__.splitlines()[2]}")
    release, version, tree = sys.argv[1], sys.argv[2], Path(sys.argv[3]).resolve()
    if sys.version_info < (3, 11):
        # Which lines of requirements.txt hold is asked of the Python that runs pip.
        sys.exit(f"runtime: this is Python {sys.version_info[0]}.{sys.version_info[1]}: PYTHON=python3.11 names another that can install packages for {version}")
    with tempfile.TemporaryDirectory(prefix="cloister-debian-") as scratch:
        os.chmod(scratch, 0o755)
        try:
            made = made_of(release, version, tree, Path(scratch))
        except debian.Problem as problem:
            sys.exit(f"runtime: apt cannot give Python {version} of {release}:\n{problem}")
    build.say(f"{tree} is ready" if made else f"{tree} is up to date")


def made_of(release, version, tree, scratch):
    """Whether the tree had to be made."""
    build.say(f"asking for the packages of {release}")
    apt, wanted = apt_of(release, scratch), [f"python{version}", *MORE]
    stamp = "\n".join([build.fingerprint(Path(__file__)), *chosen(apt, wanted)]) + "\n"

    def is_current(tree):
        return (tree / "stamp").is_file() and (tree / "stamp").read_text() == stamp

    def make_it(new):
        make(new, version, unpacked(apt, wanted, scratch / "root"))
        (new / "stamp").write_text(stamp)

    return place.made(tree, is_current, make_it, build.say)


def apt_of(release, scratch):
    """An apt that knows another release alone, and a system on which nothing is installed."""
    lines = "".join(f"deb [signed-by={key}] {uri} {release}{suffix} main\n" for uri, key, suffix in archives())
    (scratch / "state").mkdir()
    (scratch / "status").touch()
    apt = debian.Apt(scratch / "apt", {"of.list": lines}, Dir_State=scratch / "state", Dir_State_Status=scratch / "status",
                     Dir_Etc_Preferences="/dev/null", Dir_Etc_PreferencesParts="/dev/null")
    apt.update()
    return apt


def archives():
    """Where this host's own packages come from: address, keyring, and what stands behind a release's name there."""
    found = {}
    for uri, suite, key in [*new_style(), *old_style()]:
        for suffix in ("", "-updates", "-security"):
            if suite == codename() + suffix:
                found[suffix] = (uri, key or "/usr/share/keyrings/debian-archive-keyring.gpg", suffix)
    if "" not in found:
        sys.exit(f"runtime: apt's sources name no archive of {codename()}: this takes a Debian with apt")
    return list(found.values())


def codename():
    return re.search(r"(?m)^VERSION_CODENAME=(\S*)", Path("/etc/os-release").read_text() + "\nVERSION_CODENAME=")[1]


def new_style():
    """sources.list(5), DEB822-STYLE FORMAT."""
    for file in Path("/etc/apt/sources.list.d").glob("*.sources"):
        for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", file.read_text())):
            fields = {name.lower(): value.split() for name, value in re.findall(r"(?m)^([\w-]+):[ \t]*(.*)", stanza)}
            if "deb" in fields.get("types", []):
                for uri in fields.get("uris", []):
                    for suite in fields.get("suites", []):
                        yield uri, suite, next((key for key in fields.get("signed-by", []) if key.startswith("/")), None)


def old_style():
    """sources.list(5), ONE-LINE-STYLE FORMAT."""
    for file in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.list")]:
        if file.exists():
            for options, uri, suite in re.findall(r"(?m)^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)", file.read_text()):
                key = re.search(r"signed-by=(/\S+)", options)
                yield uri, suite, key and key[1]


def install(apt, wanted, *options):
    return apt.ask("apt-get", "--yes", "--no-install-recommends", *options, "install", *wanted)


def chosen(apt, wanted):
    """The packages and versions that apt would install, as it says."""
    return sorted(" ".join(match) for match in re.findall(r"(?m)^Inst (\S+) .*?\((\S+)", install(apt, wanted, "--simulate")))


def unpacked(apt, wanted, root):
    """The root of a system with these packages in it, none of them configured."""
    build.say(f"fetching {wanted[0]} and what it needs")
    install(apt, wanted, "--download-only")
    debian.unpack(apt.downloads.glob("*.deb"), root)
    return root


def make(new, version, root):
    library = f"usr/lib/python{version}"
    interpreter = build.put_interpreter(new, root / f"usr/bin/python{version}", root / library, library, root)
    # As Debian's own interpreters have it, whatever their version.
    packages = new / "usr/lib/python3/dist-packages"

    def compile_tree(new):
        compiled = base.run_in(new, COMPILE, f"/{library}", f"/{packages.relative_to(new)}")
        build.or_exit("the new tree cannot be compiled", compiled.returncode and compiled.stderr)

    build.furnish(new, interpreter, packages, compile_tree, root, platform(version, root))


def platform(version, root):
    """Options of pip's by which it takes wheels for another interpreter and another C library than its own."""
    said = subprocess.run([str(root / libraries.LOADER), "--version"], text=True, capture_output=True, check=True).stdout
    libc = re.search(r"version (\d+)\.(\d+)", said)
    names = [f"manylinux_{libc[1]}_{minor}_x86_64" for minor in range(int(libc[2]), 4, -1)] + ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
    return ["--implementation", "cp", "--python-version", version, *(part for name in names for part in ("--platform", name))]


if __name__ == "__main__":
    place.run(main, "runtime")
