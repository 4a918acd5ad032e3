#!/usr/bin/env python3
"""Build a disk image of a plain Debian for the tests, once: it is kept outside the repository.

Usage: image.py [RELEASE], 12 or 13. Prints the directory that holds disk.raw, vmlinuz, initrd and key.
Environment: CLOISTER_VM_CACHE, default /var/cache/cloister-vm; CLOISTER_VM_MIRROR, default Debian's own.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RELEASES = {"12": "bookworm", "13": "trixie"}
CACHE = Path(os.environ.get("CLOISTER_VM_CACHE", "/var/cache/cloister-vm"))

# What a cloud's image has, and what the tests need on the inside, containers of two kinds among it. The kernel is the one for clouds.
PACKAGES = ("systemd", "systemd-sysv", "dbus", "udev", "apparmor", "apt", "linux-image-cloud-amd64", "initramfs-tools",
            "openssh-server", "iproute2", "procps", "python3", "python3-pip", "e2fsprogs", "systemd-container", "runsc")

# No timer that would wake up in the middle of a test.
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "fstrim.timer", "man-db.timer",
          "dpkg-db-backup.timer", "systemd-tmpfiles-clean.timer")

NETWORK = "[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\n"


def image(release, *more):
    """The directory of the release's image, with more packages if they are named, built if this recipe has not been built before."""
    recipe = hashlib.sha256(Path(__file__).read_bytes() + " ".join(more).encode()).hexdigest()[:12]
    directory = CACHE / f"debian-{release}-{recipe}"
    if not directory.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".debian-{release}-", dir=CACHE))
        try:
            build(RELEASES[release], scratch, more)
            scratch.rename(directory)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return directory


def build(codename, scratch, more):
    root = scratch / "root"
    with step(f"install Debian {codename}"):
        mirror = filter(None, [os.environ.get("CLOISTER_VM_MIRROR")])
        run("mmdebstrap", "--variant=minbase", "--aptopt=APT::Install-Recommends false", f"--include={','.join((*PACKAGES, *more))}",
            codename, root, *mirror)
    with step("configure it"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "cloister-vm", "-f", scratch / "key")
        write(root / "root/.ssh/authorized_keys", (scratch / "key.pub").read_text(), 0o600)
        write(root / "etc/systemd/network/80-dhcp.network", NETWORK)
        write(root / "etc/fstab", "/dev/vda / ext4 defaults 0 1\n")
        write(root / "etc/hostname", "debian\n")
        run("systemctl", f"--root={root}", "enable", "systemd-networkd.service", "ssh.service")
        run("systemctl", f"--root={root}", "mask", *MASKED)
        shutil.copy(newest(root, "vmlinuz-*"), scratch / "vmlinuz")
        shutil.copy(newest(root, "initrd.img-*"), scratch / "initrd")
    with step("make a disk of it"):
        run("mke2fs", "-q", "-t", "ext4", "-d", root, scratch / "disk.raw", "4G")
        shutil.rmtree(root)


def newest(root, pattern):
    return max((root / "boot").glob(pattern))


def write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    path.write_text(text)
    path.chmod(mode)


def run(*command):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"vm: {command[0]} failed:\n{done.stdout}")


class step:
    """Says what is being done, and afterwards how long it took."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        self.began = time.monotonic()

    def __exit__(self, *_):
        print(f"vm: {self.what}: {time.monotonic() - self.began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("vm: building an image needs root")
    print(image(sys.argv[1] if len(sys.argv) > 1 else "12"))
