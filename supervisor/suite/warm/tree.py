"""A tree of Python of a test's own: the shipped one's files, and packages that a test writes, told of as a builder tells of them."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from service import TREE, told_of_tree


class Tree:
    def __init__(self, modules, unlisted=()):
        """`modules`: the sources of modules by their names; a name with a dot lies in a package. Of some nobody is told."""
        self.path, of_host = Path(tempfile.mkdtemp(prefix="cloister-tree-", dir=Path(TREE).parent)), told_of_tree()
        self.path.chmod(0o755)
        # The same files, in directories of its own.
        subprocess.run(["cp", "-al", f"{TREE}/usr", self.path], check=True)
        self.site = self.path / of_host["site"].lstrip("/")
        for name, source in modules.items():
            file = self.site / (name.replace(".", "/") + "/__init__.py")
            file.parent.mkdir()
            file.write_text(source)
        facts = {**of_host, "packages": [],
                 "modules": sorted({name.split(".")[0] for name in modules if name not in unlisted} | {"numpy", "pandas", "flask"})}
        (self.path / "base.json").write_text(json.dumps(facts))

    def policy(self, name="used", **warm):
        """A profile of this tree that keeps something warm: keys of `warm` as they stand in a policy."""
        settings = {"imports": "[]", "parked": "2", **warm}
        settings = ", ".join(f"{key} = {value}" for key, value in settings.items())
        return f"""
[runtime.{name}]
interpreter = "/usr/bin/python3"
mounts = ["{self.path}/usr:/usr"]
links = {{ lib = "usr/lib", lib64 = "usr/lib64", bin = "usr/bin" }}

[profile.{name}]
extends = "default"
runtime = "{name}"
warm = {{ {settings} }}
"""

    def remove(self):
        shutil.rmtree(self.path)
