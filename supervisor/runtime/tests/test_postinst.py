"""The package's postinst puts the Python tree in place: there is none before the first time, and always one from then on."""

import subprocess
import tarfile
from pathlib import Path

import pytest

POSTINST = Path(__file__).resolve().parents[3] / "systemd/debian/cloister.postinst"


@pytest.fixture
def configure(tmp_path):
    """Run it below a directory of the test's own, with an archive of this content. `mv` may not touch the tree that is there."""
    (tmp_path / "lib").mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    mv = programs / "mv"
    mv.write_text(f'#!/bin/sh\nif [ -e "{tmp_path}/python" ]; then case "$1" in */python) echo "moved away" >&2; exit 1;; esac; fi\nexec /usr/bin/mv "$@"\n')
    mv.chmod(0o755)
    text = POSTINST.read_text().replace("/var/lib/cloister/", f"{tmp_path}/").replace("/usr/lib/cloister/", f"{tmp_path}/lib/")
    # Where debhelper restarts the daemons: what jobs that run still use has to be there.
    text = text.replace("#DEBHELPER#", f"ls -d {tmp_path}/.python.* 2>/dev/null || true")
    script = tmp_path / "postinst"
    script.write_text(text)

    def run(content):
        source = tmp_path / "source"
        source.mkdir(exist_ok=True)
        for name in ("stamp", "program"):
            (source / name).write_text(content)
        with tarfile.open(tmp_path / "lib/python.tar.gz", "w:gz") as archive:
            archive.add(source, ".")
        (tmp_path / "lib/python.stamp").write_text(content)
        return subprocess.run(["sh", script, "configure"], capture_output=True, text=True, env={"PATH": f"{programs}:/usr/bin:/bin"})

    return run


def test_the_tree_is_exchanged_and_the_old_one_stays_until_the_daemons_have_restarted(configure, tmp_path):
    tree = tmp_path / "python"
    first = configure("one")
    assert first.returncode == 0 and first.stdout == "", first
    assert (tree / "program").read_text() == "one"
    with open(tree / "program") as used:
        again = configure("two")
        assert again.returncode == 0 and again.stdout.split() == [str(tmp_path / ".python.old")], again
        assert (tree / "program").read_text() == "two" and used.read() == "one"
    assert not list(tmp_path.glob(".python.*"))
    inode = tree.stat().st_ino
    assert configure("two").returncode == 0
    assert tree.stat().st_ino == inode, "a tree that is up to date is left alone"
