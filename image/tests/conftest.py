"""Fixtures: the images, built anew of the programs in CLOISTER_BIN, or those that lie in CLOISTER_IMAGES; and a podman that has loaded them."""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

from podman import Podman

BUILD = Path(__file__).resolve().parents[1] / "build.py"
MADE = os.environ.get("CLOISTER_IMAGES")
PROGRAMS = Path(os.environ["CLOISTER_BIN"]) if not MADE else None
TREE = Path(os.environ.get("CLOISTER_RUNTIME") or "/var/lib/cloister/python")


class Image:
    """An archive, read as the image specification says and by no code that wrote it."""

    def __init__(self, path):
        self.path = path
        self.archive = tarfile.open(path)
        [manifest] = self.read("index.json")["manifests"]
        self.name = manifest["annotations"]["org.opencontainers.image.ref.name"]
        self.manifest = self.blob(manifest)
        self.about = self.blob(self.manifest["config"])
        self.config = self.about["config"]
        self.bill = Path(str(path).removesuffix(".tar") + ".cdx.json")

    def read(self, name):
        return json.load(self.archive.extractfile(name))

    def blob(self, descriptor):
        return self.read("blobs/" + descriptor["digest"].replace(":", "/"))

    def layers(self):
        for descriptor in self.manifest["layers"]:
            yield tarfile.open(fileobj=self.archive.extractfile("blobs/" + descriptor["digest"].replace(":", "/")))

    def entries(self):
        """What is in it, each path once, the last layer's."""
        return {entry.name: entry for layer in self.layers() for entry in layer}


def build(output, programs=PROGRAMS, **environment):
    done = subprocess.run([sys.executable, "-B", BUILD, programs, TREE, output], capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return read(output)


def read(output):
    return {name: Image(next(output.glob(f"cloister-{name}-*.tar"))) for name in ("gateway", "supervisor")}


@pytest.fixture(scope="session")
def images():
    if MADE:
        yield read(Path(MADE))
        return
    # Larger than what should be kept for who looks into a failure.
    with tempfile.TemporaryDirectory(prefix="cloister-images-") as directory:
        yield build(Path(directory))


@pytest.fixture(scope="session")
def podman(images):
    podman = Podman()
    try:
        for image in images.values():
            podman("load", "--input", image.path)
        yield podman
    finally:
        podman.close()
