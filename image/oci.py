"""Writes an image as an archive: an OCI image layout in a tar, of layers that are tars.

The same files give the same bytes: names are sorted, owners are numbers, times are nought, and nothing is compressed, for a
compressor's next release writes other bytes (what carries images compresses them on its way). It reads what it is given and
writes one file.
"""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import PurePosixPath

MEDIA_TYPE = "application/vnd.oci.image.{}.v1"


@dataclass
class Layer:
    """Files by their paths in the image. What is in none of them is not there: there is no base."""

    why: str
    entries: dict = field(default_factory=dict)

    def directory(self, path, mode=0o755):
        self.put(path, tarfile.DIRTYPE, mode)

    def link(self, path, target):
        self.put(path, tarfile.SYMTYPE, 0o777, target=target)

    def content(self, path, content, mode=0o644):
        self.put(path, tarfile.REGTYPE, mode, content=content)

    def file(self, path, source, mode=None):
        self.put(path, tarfile.REGTYPE, mode or source.stat().st_mode & 0o7777, source=source)

    def tree(self, path, source):
        """A directory with all that is in it."""
        for found in sorted(source.rglob("*")):
            inside = f"{path}/{found.relative_to(source)}"
            if found.is_symlink():
                self.link(inside, str(found.readlink()))
            elif found.is_dir():
                self.directory(inside, found.stat().st_mode & 0o7777)
            elif found.is_file():
                self.file(inside, found)
            else:
                raise ValueError(f"{found} is neither a file nor a directory nor a link")

    def put(self, path, kind, mode, **given):
        for parent in reversed(PurePosixPath(path).parents):
            if str(parent) != ".":
                self.entries.setdefault(str(parent), (tarfile.DIRTYPE, 0o755, {}))
        self.entries[path] = (kind, mode, given)

    def size(self):
        """What its files hold, in bytes."""
        return sum(given["source"].stat().st_size if "source" in given else len(given.get("content", b""))
                   for _, _, given in self.entries.values())

    def packed(self):
        """It as the bytes of a tar; in memory, so that they are written to the disk once, in the archive."""
        buffer = io.BytesIO()
        self.write(buffer)
        return buffer.getbuffer()

    def write(self, file):
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path, (kind, mode, given) in sorted(self.entries.items()):
                add(archive, path, kind, mode, **given)


def add(archive, path, kind, mode, source=None, content=b"", target=""):
    """One entry; of its source only the bytes count."""
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.linkname = kind, mode, target
    if source is None:
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
        return
    with open(source, "rb") as file:
        entry.size = source.stat().st_size
        archive.addfile(entry, file)


def write_archive(path, name, layers, config, created, labels):
    """Writes the archive of an image that will be found under `name`; the digest of its manifest."""
    whole = Layer("the archive")
    written = [keep(whole, MEDIA_TYPE.format("layer") + ".tar", layer.packed()) for layer in layers]
    about = {
        "created": created,
        "architecture": "amd64",
        "os": "linux",
        "config": {**config, "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in written]},
        "history": [{"created": created, "created_by": layer.why} for layer in layers],
    }
    manifest = keep(whole, MEDIA_TYPE.format("manifest") + "+json", encoded({
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE.format("manifest") + "+json",
        "config": keep(whole, MEDIA_TYPE.format("config") + "+json", encoded(about)),
        "layers": written,
        "annotations": labels,
    }))
    # By the first, podman and skopeo find it, by the second containerd.
    manifest["annotations"] = {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name}
    index = {"schemaVersion": 2, "mediaType": MEDIA_TYPE.format("index") + "+json", "manifests": [manifest]}
    whole.content("oci-layout", encoded({"imageLayoutVersion": "1.0.0"}))
    whole.content("index.json", encoded(index))
    new = path.with_name(f".{path.name}.new")
    with open(new, "wb") as file:
        whole.write(file)
    new.rename(path)
    return manifest["digest"]


def keep(whole, media_type, content):
    """Puts a blob into the archive, under its digest; what a descriptor says of it."""
    digest = hashlib.sha256(content).hexdigest()
    whole.content(f"blobs/sha256/{digest}", content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def encoded(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
