"""What is in an image, as a bill of materials: CycloneDX 1.5, JSON.

Of crates those that are linked into the programs, by the resolution of Cargo.lock; of Debian the packages whose files were
copied; of Python the distributions in the tree that scripts see; the fonts in that tree. Each with its version and its package URL, by which lists of
vulnerabilities are searched.
"""

import importlib.metadata
import json
import re
import subprocess
from pathlib import Path
from urllib.parse import quote

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = "x86_64-unknown-linux-gnu"


def document(name, version, created, components):
    """The whole bill."""
    return json.dumps({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "component": component("container", name, version, f"pkg:oci/{name}@{version}", "Apache-2.0"),
        },
        "components": sorted(components, key=lambda each: each["bom-ref"]),
    }, indent=1, sort_keys=True) + "\n"


def component(kind, name, version, purl, licence=None, sha256=None):
    told = {"type": kind, "name": name, "version": version, "purl": purl, "bom-ref": purl}
    if licence:
        told["licenses"] = [{"expression": licence}] if is_expression(licence) else [{"license": {"name": licence}}]
    if sha256:
        told["hashes"] = [{"alg": "SHA-256", "content": sha256}]
    return told


def is_expression(licence):
    """Whether it looks like one of SPDX's, and not like a sentence or a whole text."""
    words = re.sub(r"[()]", " ", licence).split()
    return all(word in ("AND", "OR", "WITH") for word in words[1::2]) and all(re.fullmatch(r"[A-Za-z0-9.+-]+", word) for word in words)


def crates(roots):
    """What is linked into the programs of these crates. Macros that write code are not in what they wrote."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    known = json.loads(subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout)
    packages = {package["id"]: package for package in known["packages"]}
    nodes = {node["id"]: node for node in known["resolve"]["nodes"]}
    sums = checksums()
    reached, ahead = set(), [id for id, package in packages.items() if package["name"] in roots]
    while ahead:
        here = ahead.pop()
        if here in reached or any("proc-macro" in target["kind"] for target in packages[here]["targets"]):
            continue
        reached.add(here)
        ahead += [dep["pkg"] for dep in nodes[here]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    for package in map(packages.get, reached):
        name, version = package["name"], package["version"]
        licence = (package["license"] or "").replace("/", " OR ") or None
        yield component("library", name, version, f"pkg:cargo/{name}@{version}", licence, sums.get((name, version)))


def checksums():
    """Of the crates as Cargo.lock has them."""
    text = (REPOSITORY / "Cargo.lock").read_text()
    return {found[:2]: found[2] for found in re.findall(r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"', text)}


def python(directory):
    """The distributions in a directory of packages."""
    for found in importlib.metadata.distributions(path=[str(directory)]):
        about = found.metadata
        name, licence = re.sub(r"[-_.]+", "-", about["Name"]).lower(), about.get("License-Expression") or about.get("License")
        licence = licence if licence and is_expression(licence) else next(
            (said.rsplit(" :: ", 1)[1] for said in about.get_all("Classifier", []) if said.startswith("License ::")), None)
        yield component("library", name, found.version, f"pkg:pypi/{name}@{found.version}", licence)


def fonts(tree):
    """The fonts of the tree, each with the package that it was taken out of."""
    for font in json.loads((tree / "fonts.json").read_text()):
        name, version = font["name"], font["version"]
        purl = f"pkg:generic/{quote(name.lower().replace(' ', '-'))}@{quote(version)}"
        yield {**component("data", name, version, purl, font["licence"]), "properties": [{"name": "cloister:taken-out-of", "value": font["package"]}]}


def debian(package):
    """A package of Debian, as dpkg knows it."""
    wanted = "${Package}\n${Version}\n${Architecture}\n${source:Package}\n${source:Version}"
    told = subprocess.run(["dpkg-query", "--show", "--showformat", wanted, package], check=True, capture_output=True, text=True)
    name, version, architecture, source, source_version = told.stdout.split("\n")
    return {**of_debian(name, version, architecture), "properties": [
        {"name": "debian:source", "value": source}, {"name": "debian:source-version", "value": source_version}]}


def of_debian(name, version, architecture):
    """A package of Debian, of whichever release."""
    return component("library", name, version, f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}")


def unpacked(stamp):
    """The packages of another release of Debian that a tree was made of, as the lines of its stamp name them; this machine's dpkg knows
    nothing of them. None where the tree was made of this machine's files.
    """
    found = [re.fullmatch(r"([a-z0-9][a-z0-9+.-]+) (\S+)", line) for line in stamp]
    return [of_debian(name, version, "amd64") for name, version in (match.groups() for match in found)] if found and all(found) else None


def owner(path):
    """The package of Debian that a file of this machine came with; None if it came otherwise."""
    # Under the name that the package has it by: /lib is a link into /usr since then.
    names = {str(path), re.sub(r"^/usr(?=/lib)", "", str(path)), re.sub(r"^(?=/lib)", "/usr", str(path))}
    try:
        told = subprocess.run(["dpkg-query", "--search", *sorted(names)], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return next((line.partition(": ")[0] for line in told.stdout.splitlines() if not line.startswith("diversion ")), None)
