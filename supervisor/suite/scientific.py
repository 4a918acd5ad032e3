"""Profiles whose scripts have numeric libraries that the runtime lacks: scipy, scikit-learn, joblib, polars, pyarrow.
They lie over the runtime's own packages, and hold most of these too, of the same versions: see `packages`.
"""

import os
from pathlib import Path

from service import TREE, told_of_tree

# Installed by `make test-packages`.
PACKAGES = Path(os.environ.get("CLOISTER_SCIENTIFIC", "/var/lib/cloister/test-packages"))


def unfit():
    """Why scripts cannot have them with the Python under test, if they cannot."""
    if not (PACKAGES / "tag").exists():
        raise AssertionError(f"{PACKAGES} is not there or an older one: make test-packages")
    tag, wanted = (PACKAGES / "tag").read_text(), told_of_tree()["tag"]
    return None if tag == wanted else f"the packages in {PACKAGES} are for {tag}, and {TREE} is {wanted}"


def profile(name="scientific", **keys):
    """Such a profile as a piece of a policy, cold unless told otherwise: keys and values as they stand there. The test is skipped where none can be."""
    if why := unfit():
        import pytest

        pytest.skip(why)
    settings = {"memory": '"2GiB"', "wall_time": '"60s"', "cpu_time": '"60s"', "cpus": "2.0", "warm": "false", **keys}
    settings["filesystem.read_only"] = f'["{PACKAGES}:{told_of_tree()["site"]}"]'
    lines = (f"{key} = {value}" for key, value in settings.items())
    return "\n".join([f"[profile.{name}]", 'extends = "default"', *lines, ""])
