"""What was measured of each module, kept so that a run that was interrupted goes on where it stopped."""

import hashlib
import json
import shutil

import modules
import places
from service import POLICY



class Store:
    """A directory for what was measured with this policy and this tree: one file for each module."""

    def __init__(self, out, tree, network, fresh=False):
        files = (POLICY, tree / "compat-stamp", modules.HERE / "inside.py")
        parts = [file.read_text() for file in files] + [places.PROFILE, network]
        self.directory = out / "measured" / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
        if fresh:
            shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)

    def get(self, name):
        """The module's result, or None where it has none yet."""
        try:
            return json.loads((self.directory / f"{name}.json").read_text())
        except FileNotFoundError:
            return None

    def put(self, name, result):
        """Keeps a module's result; one that is half written is never seen."""
        new = self.directory / f".{name}.new"
        new.write_text(json.dumps(result, indent=1) + "\n")
        new.rename(self.directory / f"{name}.json")
