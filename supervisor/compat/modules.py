"""What is run: modules of CPython's regression tests, of numpy's tests, and the programs beside this file."""

import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent


def programs():
    """The names and sources of the programs."""
    return {path.stem: path.read_text() for path in sorted((HERE / "programs").glob("*.py"))}


def listed(suite):
    """The modules of a suite, as `modules.toml` has them."""
    with open(HERE / "modules.toml", "rb") as file:
        return tomllib.load(file)[suite]["modules"]


def numpy_modules(tree, names):
    """numpy's test files, by the dotted names that pytest takes."""
    [packages] = Path(tree).glob("usr/lib/python3*/*-packages/numpy")
    found = []
    for name in names:
        base = packages.parent / name.replace(".", "/")
        files = sorted(base.glob("tests/test_*.py"))
        found += [".".join(file.relative_to(packages.parent).with_suffix("").parts) for file in files]
    return found
