"""Packages of Debian's, fetched by its apt and unpacked beside the system: nothing of them is run or installed, and of apt's own lists and
settings nothing changes. What apt fetches it has checked by its keys.
"""

import re
import shutil
import subprocess
from pathlib import Path


class Problem(Exception):
    """What apt could not do, in its words."""


def is_here():
    return all(map(shutil.which, ("apt-get", "dpkg-deb")))


class Apt:
    """apt with lists and downloads of its own, in a directory that is there for it alone."""

    def __init__(self, directory, sources, **settings):
        """`sources` are its lists of archives, by the names that such files have; `settings` go by apt.conf(5), with `_` for `::`."""
        self.directory, self.downloads = directory, directory / "archives"
        for part in ("parts", "lists/partial", "archives/partial"):
            (directory / part).mkdir(parents=True)
        for name, text in sources.items():
            (directory / "parts" / name).write_text(text)
        own = {"Dir_Etc_SourceList": "/dev/null", "Dir_Etc_SourceParts": directory / "parts", "Dir_State_Lists": directory / "lists",
               "Dir_Cache": directory, "APT_Sandbox_User": "root", **settings}
        self.options = [part for name, value in own.items() for part in ("-o", f"{name.replace('_', '::')}={value}")]

    def ask(self, program, *words, directory=None):
        """What one of its programs says."""
        done = subprocess.run([program, *self.options, "--quiet=2", *words], cwd=directory, text=True, capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Problem(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def update(self):
        self.ask("apt-get", "update")

    def unpack(self, package, directory):
        """Fetch a package and unpack it there; its version."""
        self.ask("apt-get", "download", package, directory=self.downloads)
        [file] = self.downloads.glob(f"{package}_*.deb")
        unpack([file], directory)
        return subprocess.run(["dpkg-deb", "--field", str(file), "Version"], check=True, capture_output=True, text=True).stdout.strip()


def unpack(packages, directory):
    """Unpack packages that are there; none of what they would do when they are installed is done."""
    for package in sorted(packages):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(directory)], check=True, stdin=subprocess.DEVNULL)


def sources():
    """Where this host's own packages come from, as `Apt` takes it."""
    found = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    return {file.name: file.read_text() for file in found if file.is_file() and file.suffix in (".list", ".sources")}


def with_source_packages(text):
    """Of each list of packages that of their sources, too."""
    one_line = re.findall(r"(?m)^deb\s.*", text)
    return re.sub(r"(?m)^Types:\s*deb$", "Types: deb deb-src", text) + "".join(f"\n{re.sub('^deb', 'deb-src', line)}" for line in one_line) + "\n"
