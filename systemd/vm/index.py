"""A package index of a test's own: directories that any web server can serve, as PEP 503 has them."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PINNED = REPOSITORY / "supervisor/command/src/runtime/pinned.rs"


def make(directory, scratch, *packages):
    """An index with these packages and what they need, as wheels for the Python that runs this, and with the uv that installs them."""
    uv = re.search(r'VERSION: &str = "(.*)"', PINNED.read_text())[1]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "--dest", scratch, f"uv=={uv}", *packages]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    for wheel in Path(scratch).glob("*.whl"):
        name = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
        (directory / name).mkdir(parents=True, exist_ok=True)
        with open(wheel, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with open(directory / name / "index.html", "a") as page:
            page.write(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n')
        shutil.move(wheel, directory / name)
