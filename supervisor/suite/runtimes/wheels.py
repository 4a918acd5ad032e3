"""Packages of the tests' own, as wheels that nobody has to fetch, and those that an attacker would make."""

import base64
import hashlib
import zipfile

from service import told_of_tree


def wheel(directory, name, version, files, links=(), odd_modes=()):
    """Make a wheel; its name beside the other wheels, and the digest of it."""
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},sha256={digest_of(text)},{len(text.encode())}\n" for file, text in files.items())
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            entry = zipfile.ZipInfo(file)
            mode = 0o106755 if file in odd_modes else 0o120777 if file in links else 0o100644
            entry.external_attr = mode << 16
            entry.create_system = 3
            archive.writestr(entry, text)
    path.chmod(0o644)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest_of(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def source(directory, name, version):
    """A package that would have to be built."""
    import io
    import tarfile

    path = directory / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file, text in {
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "setup.py": "open('/tmp/built-by-a-package', 'w')\nfrom setuptools import setup\nsetup()\n",
        }.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{file}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lock(path, lines, python=None):
    """A lock as `cloister runtime lock` writes it, for the base unless it is for another Python, of these lines."""
    python = python or told_of_tree()["python"].rpartition(".")[0]
    head = f"# python: {python}\n# platform: x86_64-manylinux_2_28\n# input: sha256:{'0' * 64}\n"
    path.write_text(head + "".join(f"{line}\n" for line in lines))
    path.chmod(0o644)


def locked(name, version, digest):
    return f"{name}=={version} --hash=sha256:{digest}"
