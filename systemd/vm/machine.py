"""A virtual machine with an installed Debian: booted from a throwaway copy of a cached image, spoken to over ssh.

It is emulated (TCG), so that it runs where there is no KVM; everything in it is about ten times slower.
"""

import shlex
import socket
import subprocess
import time
from pathlib import Path

# What an emulated machine on a busy host may take; a broken one is found by what it says, not by these.
BOOT_SECONDS = 1800
COMMAND_SECONDS = 1800


# Where the disk is mounted that it is given to read.
LUGGAGE = Path("/mnt")


class Failed(AssertionError):
    """A command in the machine that did not succeed."""


class Machine:
    """One run of a machine. Its disk is forgotten at the end."""

    def __init__(self, image, luggage, scratch):
        self.image, self.luggage, self.scratch = image, luggage, Path(scratch)
        self.console, self.disk = self.scratch / "console.log", self.scratch / "disk.qcow2"
        self.ssh_port, self.http_port = free_port(), free_port()
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image / "disk.raw", self.disk], check=True)
        self.boot()

    def boot(self, append=""):
        """Switch it on, with something more on the kernel's command line."""
        forwarded = f"hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22,hostfwd=tcp:127.0.0.1:{self.http_port}-:8080"
        self.process = subprocess.Popen(
            ["nice", "-n", "5", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "4G",
             "-nodefaults", "-no-reboot", "-display", "none", "-serial", f"file:{self.console}",
             "-kernel", self.image / "vmlinuz", "-initrd", self.image / "initrd",
             "-append", f"root=/dev/vda rw console=ttyS0 systemd.show_status=0 {append}",
             "-drive", f"file={self.disk},if=virtio,cache=unsafe", "-drive", f"file={self.luggage},if=virtio,format=raw,readonly=on",
             "-device", "virtio-rng-pci",
             "-netdev", f"user,id=net,restrict=on,{forwarded}", "-device", "virtio-net-pci,netdev=net"],
            stdin=subprocess.DEVNULL)

    def reboot(self, append=""):
        """Shut it down in order, and boot it with something more on the kernel's command line."""
        self.ssh("systemctl poweroff", check=False)
        self.hang_up()
        self.process.wait(BOOT_SECONDS)
        self.boot(append)
        return self.wait_until_up()

    @property
    def url(self):
        """Port 8080 of the machine, as the host sees it."""
        return f"http://127.0.0.1:{self.http_port}"

    def wait_until_up(self):
        deadline = time.monotonic() + BOOT_SECONDS
        while not self.answers():
            assert self.process.poll() is None, f"the machine is off: {self.console_tail()}"
            assert time.monotonic() < deadline, f"it does not come up: {self.console_tail()}"
            time.sleep(1)
        self.run("mount", "-o", "ro", "/dev/vdb", LUGGAGE)
        return self

    def answers(self):
        try:
            return self.ssh("true", check=False, timeout=60).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def ssh(self, command, check=True, timeout=COMMAND_SECONDS, **options):
        """Run a shell command as root; the completed process."""
        done = subprocess.run([*self.ssh_command(), command], text=True, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **({} if "input" in options else {"stdin": subprocess.DEVNULL}) | options)
        if check and done.returncode != 0:
            raise Failed(f"`{command}` ended with {done.returncode}:\n{done.stdout}")
        return done

    def run(self, *command, **options):
        """Run one program as root; what it wrote."""
        return self.ssh(shlex.join(map(str, command)), **options).stdout.strip()

    def ssh_command(self):
        options = {"StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null", "LogLevel": "ERROR", "ConnectTimeout": 30,
                   "ControlMaster": "auto", "ControlPath": self.scratch / "ssh", "ControlPersist": 60, "ServerAliveInterval": 15,
                   "ServerAliveCountMax": 20}
        given = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return ["ssh", "-i", self.image / "key", "-p", str(self.ssh_port), *given, "root@127.0.0.1"]

    def console_tail(self):
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-20:])

    def hang_up(self):
        """End the connection that all commands share."""
        subprocess.run([*self.ssh_command()[:-1], "-O", "exit", "root@127.0.0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def off(self):
        self.hang_up()
        self.process.terminate()
        self.process.wait(30)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
