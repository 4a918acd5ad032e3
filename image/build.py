#!/usr/bin/env python3
"""Build the images of gateway and supervisor from what `make build runtime` made, as OCI archives with their bills of materials.

Usage: build.py PROGRAMS PYTHON_TREE OUTPUT. It takes neither a registry nor a daemon, and no base: an image is a program, the C
library that it was linked with, and facts that it asks for. There is no shell, no package manager and no other program.

A short script over tarfile and hashlib, not buildah, umoci or a Containerfile: an image layout is a directory of tars and a few
lines of JSON, which stay the same bytes for the same input only where nothing else writes them. buildah and podman write the
time of the build, umoci needs a dozen steps with a bundle in between, each needs packages of a container engine where
images are only built, and none of them knows what the parts are. What this writes is loaded and run with podman in the tests.

SOURCE_DATE_EPOCH is the time that labels tell, by default that of the commit; files have no times.
"""

import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import sbom
from oci import Layer, write_archive

REPOSITORY = Path(__file__).resolve().parents[1]
# The gateway's account, in both images: it owns the socket's group in the one and runs the other.
GATEWAY_ID = 64510
PYTHON_PLACE = "var/lib/cloister/python"
BILL = "usr/share/cloister/sbom.cdx.json"
ACCOUNTS = f"root:x:0:0:root:/:/nonexistent\ncloister-gateway:x:{GATEWAY_ID}:{GATEWAY_ID}:Cloister gateway:/:/nonexistent\n"
GROUPS = f"root:x:0:\ncloister-gateway:x:{GATEWAY_ID}:\n"

ABOUT = {
    "gateway": {
        "title": "Cloister gateway",
        "description": "The door of Cloister: validates, limits and forwards requests to run Python; holds no privilege",
        "crates": ["cloister-gateway"],
        "programs": ["cloister-gateway"],
        "config": {
            "User": f"{GATEWAY_ID}:{GATEWAY_ID}",
            "ExposedPorts": {"8080/tcp": {}},
            # So that arguments add to it; who listens there must say whom it serves: --keys or --no-auth.
            "Env": ["CLOISTER_LISTEN=0.0.0.0:8080"],
            "Entrypoint": ["/usr/bin/cloister-gateway"],
            "Cmd": ["serve"],
        },
    },
    "supervisor": {
        "title": "Cloister supervisor",
        "description": "Runs Cloister's jobs, each in a sandbox of its own; with the Python that they see, and doctor",
        "crates": ["cloister-supervisor", "cloister-engine", "cloister-command", "cloister-zygote"],
        "programs": ["cloister-supervisor", "cloister-engine", "cloister"],
        "config": {
            "User": "0:0",
            "Env": ["PATH=/usr/bin"],
            "Entrypoint": ["/usr/bin/cloister-supervisor"],
            "Cmd": ["serve", "--gateway-uid", str(GATEWAY_ID)],
        },
    },
}


def main():
    programs, tree, output = map(Path, sys.argv[1:])
    output.mkdir(parents=True, exist_ok=True)
    version = re.search(r'(?m)^version = "(.*)"', (REPOSITORY / "Cargo.toml").read_text())[1]
    revision = os.environ.get("CLOISTER_REVISION") or git("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or 0)
    created = datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    everything = [programs / program for about in ABOUT.values() for program in about["programs"]]
    libraries = linked(everything)
    for name, about in ABOUT.items():
        build(name, about, programs, tree if name == "supervisor" else None, libraries, output, version, revision, created)


def build(name, about, programs, tree, libraries, output, version, revision, created):
    """One image."""
    layers = [base(libraries), top(name, about, programs)]
    components = [*sbom.crates(about["crates"]), *from_debian(libraries)]
    if tree is not None:
        layers.insert(1, python(tree))
        components += [*interpreter(tree), *sbom.python(packages(tree)), *sbom.fonts(tree)]
    image = f"cloister-{name}"
    bill = sbom.document(image, version, created, {each["bom-ref"]: each for each in components}.values())
    layers[-1].content(BILL, bill.encode())
    (output / f"{image}-{version}.cdx.json").write_text(bill)
    labels = {f"org.opencontainers.image.{key}": value for key, value in {
        "title": about["title"], "description": about["description"], "version": version, "revision": revision,
        "created": created, "licenses": "Apache-2.0", "vendor": "The Cloister authors",
    }.items() if value}
    archive = output / f"{image}-{version}.tar"
    digest = write_archive(archive, f"localhost/{image}:{version}", layers, about["config"], created, labels)
    unpacked = sum(layer.size() for layer in layers) / 1e6
    print(f"{archive}  {unpacked:.0f} MB  {digest}", flush=True)


def base(libraries):
    """What any program of ours needs; the same in both images."""
    layer = Layer("the C library, accounts and empty directories")
    layer.link("lib", "usr/lib")
    layer.link("lib64", "usr/lib64")
    # A runtime mounts on the first of them, and can make none where the root is read-only.
    for path in ("dev", "proc", "sys", "run/cloister", "etc/cloister", "usr/bin"):
        layer.directory(path)
    layer.directory("tmp", 0o1777)
    layer.content("etc/passwd", ACCOUNTS.encode())
    layer.content("etc/group", GROUPS.encode())
    for path in libraries:
        layer.file(in_usr(path), path.resolve(), 0o755 if path.name.startswith("ld-linux") else 0o644)
    for package in from_debian(libraries):
        copyright = Path("/usr/share/doc", package["name"], "copyright")
        if copyright.exists():
            layer.file(str(copyright).lstrip("/"), copyright.resolve(), 0o644)
    return layer


def python(tree):
    """The root tree that sandboxes see, where the shipped policy looks for it."""
    layer = Layer("the Python that scripts see")
    layer.tree(PYTHON_PLACE, tree)
    return layer


def top(name, about, programs):
    """The programs and what they read."""
    layer = Layer(f"cloister-{name}")
    for program in about["programs"]:
        layer.file(f"usr/bin/{program}", programs / program, 0o755)
    if name == "supervisor":
        layer.file("usr/lib/cloister/libcloister_zygote.so", programs / "libcloister_zygote.so", 0o644)
        layer.file("etc/cloister/policy.toml", REPOSITORY / "policy/policy.toml", 0o644)
    layer.file("usr/share/doc/cloister/LICENSE", REPOSITORY / "LICENSE", 0o644)
    return layer


def linked(programs):
    """The shared libraries that programs are linked with, the loader among them, where it looks for them."""
    told = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True).stdout
    return sorted(set(map(Path, re.findall(r"(?m)^\s*(?:\S+ => )?(/\S+) \(0x", told))))


def in_usr(path):
    relative = str(path).lstrip("/")
    return relative if relative.startswith("usr/") else f"usr/{relative}"


def from_debian(files):
    """The packages that files of this machine came with."""
    return map(sbom.debian, sorted({*filter(None, (sbom.owner(path.resolve()) for path in files))}))


def interpreter(tree):
    """The interpreter of a tree, and what was copied beside it, from this machine or out of Debian's packages, as its stamp lists them."""
    stamp = (tree / "stamp").read_text().splitlines()[1:]
    unpacked = sbom.unpacked(stamp)
    yield from from_debian(Path(line.split(" ", 2)[2]) for line in stamp) if unpacked is None else unpacked
    [loader], [program] = tree.rglob("ld-linux-x86-64.so.2"), (tree / "usr/bin").glob("python3.*")
    command = [loader, "--library-path", tree / "usr/lib/x86_64-linux-gnu", program, "--version"]
    version = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]
    yield sbom.component("framework", "cpython", version, f"pkg:generic/cpython@{version}", "PSF-2.0")


def packages(tree):
    [found] = [path for path in (tree / "usr/lib").glob("python3*/*-packages")]
    return found


def git(*command):
    """What git says of this checkout; nothing where it is none."""
    try:
        told = subprocess.run(["git", "-c", f"safe.directory={REPOSITORY}", "-C", REPOSITORY, *command], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return told.stdout.strip()


if __name__ == "__main__":
    main()
