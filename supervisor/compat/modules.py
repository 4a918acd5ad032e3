"""What is run: modules of CPython's regression tests, of numpy's tests, and the programs beside this file."""

import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent


def tasks(tree):
    """(suite, module) of all there is: the programs, then the smallest modules first, and those last that are known to be slow."""
    said = listed()
    known = [("programs", name) for name in programs()]
    late = []
    for suite, sizes in (("cpython", python_modules(tree, said["cpython"])), ("numpy", numpy_modules(tree, said["numpy"]["packages"]))):
        for name in sorted(sizes, key=lambda name: (sizes[name], name)):
            (late if name in said[suite]["slow"] else known).append((suite, name))
    return known + late


def listed():
    """What `modules.toml` says."""
    with open(HERE / "modules.toml", "rb") as file:
        return tomllib.load(file)


def endless(suite, name):
    """Patterns of the module's tests that are not run in either place."""
    return listed()[suite].get("endless", {}).get(name, [])


def programs():
    """The names and sources of the programs."""
    return {path.stem: path.read_text() for path in sorted((HERE / "programs").glob("*.py"))}


def python_modules(tree, said):
    """Python's test modules and how many bytes each has; a package is one module, or one for each file in it."""
    [tests] = Path(tree).glob("usr/lib/python3*/test")
    found = {file.stem: size(file) for file in tests.glob("test_*.py")}
    for package in (file.parent for file in tests.glob("test_*/__init__.py")):
        if package.name in said["packages"]:
            found |= {f"{package.name}.{file.stem}": size(file) for file in package.glob("test_*.py")}
        else:
            found[package.name] = sum(size(file) for file in package.rglob("*.py"))
    return {name: bytes for name, bytes in found.items() if name not in said["left_out"]}


def numpy_modules(tree, names):
    """numpy's test files, by the dotted names that pytest takes, and how many bytes each has."""
    [packages] = Path(tree).glob("usr/lib/python3*/*-packages/numpy")
    found = {}
    for name in names:
        base = packages.parent / name.replace(".", "/")
        for file in base.glob("tests/test_*.py"):
            found[".".join(file.relative_to(packages.parent).with_suffix("").parts)] = size(file)
    return found


def size(file):
    return file.stat().st_size
