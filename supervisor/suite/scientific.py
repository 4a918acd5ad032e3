"""Profiles whose scripts have numeric libraries that the runtime lacks: scipy, scikit-learn, joblib, polars, pyarrow.
They lie over the runtime's own packages, and hold most of these too, of the same versions: see `packages`.
"""

import os
from pathlib import Path

from service import TREE

# Installed by `make test-packages`.
PACKAGES = Path(os.environ.get("CLOISTER_SCIENTIFIC", "/var/lib/cloister/test-packages"))


def profile(name="scientific", **keys):
    """Such a profile as a piece of a policy, cold unless told otherwise: keys and values as they stand there."""
    if not (PACKAGES / "stamp").exists():
        raise AssertionError(f"{PACKAGES} is not there: make test-packages")
    place = (PACKAGES / "place").read_text()
    if not Path(TREE, place.lstrip("/")).is_dir():
        import pytest

        pytest.skip(f"the packages of tests are for another Python than that of {TREE}")
    settings = {"memory": '"2GiB"', "wall_time": '"60s"', "cpu_time": '"60s"', "cpus": "2.0", "warm": "false", **keys}
    settings["filesystem.read_only"] = f'["{PACKAGES}:{place}"]'
    lines = (f"{key} = {value}" for key, value in settings.items())
    return "\n".join([f"[profile.{name}]", 'extends = "default"', *lines, ""])
