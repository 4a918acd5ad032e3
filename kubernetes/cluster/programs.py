"""The programs of a cluster, from Debian alone: those of Kubernetes are built from its source package, the newest that has its servers.

Built once and kept under the package's version in CLOISTER_CLUSTER_CACHE (by default /var/cache/cloister-cluster) until somebody removes
that. What would start a daemon when it is installed is unpacked there and not installed; of apt's own lists and settings nothing changes.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# There are two `build` below, and that of the runtime is meant.
sys.path[:0] = [str(HERE.parents[1] / "supervisor/runtime"), str(HERE.parents[1] / "image")]

import debian  # noqa: E402
from oci import Layer, write_archive  # noqa: E402
from test_tools import apt_install, install_programs  # noqa: E402

from network import PAUSE  # noqa: E402

CACHE = Path(os.environ.get("CLOISTER_CLUSTER_CACHE") or "/var/cache/cloister-cluster")
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
# Packages that are unpacked, and what is used of them.
UNPACKED = {
    "etcd-server": ["usr/bin/etcd"],
    "containerd": ["usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/ctr"],
    "containernetworking-plugins": ["usr/lib/cni"],
}
NEEDED = ["conntrack", "iptables", "runc", "openssl", "ip=iproute2", "nsenter=util-linux", "setpriv=util-linux"]
NEEDED_TO_BUILD = ["jq", "rsync", "gcc", "xz=xz-utils", "dpkg-source=dpkg-dev"]
# Where Debian's golang-go has its compiler, whatever else is called `go` here.
GO = Path("/usr/lib/go/bin")


def programs():
    """The directory that has them all, built or kept; beside them `pause.tar`, the image of a pod's first container."""
    install_programs(NEEDED)
    if kept := sorted(CACHE.glob("kubernetes-*/complete")):
        return kept[-1].parent
    install_programs(NEEDED_TO_BUILD)
    if not (GO / "go").exists():
        apt_install("golang-go")
    lists = CACHE / "apt"
    shutil.rmtree(lists, ignore_errors=True)
    try:
        apt = debian.Apt(lists, {name: debian.with_source_packages(text) for name, text in debian.sources().items()})
        apt.update()
        version = source_version(apt, "kubernetes")
        place = CACHE / f"kubernetes-{version}"
        make(apt, version, place)
    except debian.Problem as problem:
        sys.exit(f"cloister: apt cannot give what a cluster is made of:\n{problem}")
    return place


def make(apt, version, place):
    """Everything, in a directory that has its name only when it is whole."""
    began = time.monotonic()
    new = place.with_name(f".{place.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    print(f"building Kubernetes {version} from Debian's source package, which takes some minutes once", flush=True)
    unpack(apt, new)
    tree = source(apt, "kubernetes", new / "source")
    build(tree, new)
    pause(tree, new)
    shutil.rmtree(new / "source")
    (new / "complete").touch()
    shutil.rmtree(place, ignore_errors=True)
    new.rename(place)
    shutil.rmtree(apt.directory)
    print(f"kept in {place}, after {time.monotonic() - began:.0f} s", flush=True)


def source_version(apt, package):
    told = re.findall(r"(?m)^Version: (\S+)$", apt.ask("apt-cache", "showsrc", "--only-source", package))
    if not told:
        sys.exit(f"cloister: Debian's sources here have no {package}")
    return told[-1]


def source(apt, package, directory):
    """The tree of a source package, with Debian's patches."""
    directory.mkdir()
    apt.ask("apt-get", "source", "--download-only", package, directory=directory)
    [description] = directory.glob("*.dsc")
    subprocess.run(["dpkg-source", "--no-check", "--extract", description.name, "tree"], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    return directory / "tree"


def unpack(apt, new):
    for package, wanted in UNPACKED.items():
        scratch = new / f".{package}"
        apt.unpack(package, scratch)
        for path in wanted:
            shutil.move(scratch / path, new / Path(path).name)
        shutil.rmtree(scratch)


def build(tree, new):
    """As the package's rules have it."""
    modules = tree / ".go/src/k8s.io"
    modules.mkdir(parents=True)
    (modules / "kubernetes").symlink_to("../../..")
    environment = {**os.environ, "HOME": str(new / "source"), "GOPATH": str(tree / ".go"), "GOCACHE": str(new / "source/cache"),
                   "CGO_ENABLED": "0", "PATH": f"{GO}:{os.environ['PATH']}"}
    log = new / "build.log"
    with log.open("w") as file:
        command = ["nice", "make", "WHAT=" + " ".join(f"cmd/{name}" for name in KUBERNETES)]
        done = subprocess.run(command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    if done.returncode != 0:
        sys.exit(f"cloister: Kubernetes was not built: {log} ends with\n" + "".join(log.read_text().splitlines(True)[-20:]))
    for name in KUBERNETES:
        shutil.move((tree / "_output/bin").resolve() / name, new / name)


def pause(tree, new):
    """The image of the container that holds a pod's namespaces: the program is in the same source package."""
    program = new / "pause"
    subprocess.run(["gcc", "-Os", "-static", "-o", program, tree / "build/pause/linux/pause.c"], check=True)
    layer = Layer("pause")
    layer.file("pause", program, 0o755)
    write_archive(new / "pause.tar", PAUSE, [layer], {"Entrypoint": ["/pause"], "User": "65535:65535"}, "1970-01-01T00:00:00Z", {})


if __name__ == "__main__":
    print(programs())
