"""Packages of Debian's, fetched as apt is configured here and unpacked beside the system, with nothing of them run or installed."""

import shutil
import subprocess
from pathlib import Path


def fetch(packages, directory):
    """Download packages into a directory and unpack them there; what went wrong, if something did.

    What apt fetches it has checked by its keys.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return "there is no apt-get on this machine"
    downloads = Path(directory) / "downloads"
    downloads.mkdir(parents=True)
    command = ["apt-get", "--quiet=2", "download", *packages]
    done = subprocess.run(command, cwd=downloads, text=True, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        # A machine that has never asked for its lists knows of no package.
        subprocess.run(["apt-get", "--quiet=2", "update"], capture_output=True, stdin=subprocess.DEVNULL)
        done = subprocess.run(command, cwd=downloads, text=True, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return done.stderr.strip() or done.stdout.strip()
    unpack(downloads.glob("*.deb"), directory)
    shutil.rmtree(downloads)
    return None


def unpack(packages, directory):
    """Unpack packages that are there; none of what they would do when they are installed is done."""
    for package in sorted(packages):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(directory)], check=True, stdin=subprocess.DEVNULL)
