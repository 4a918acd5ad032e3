"""Figures that are shown where there is no display: with matplotlib, where it is there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).parents[1] / "runner"

# The parts of the runner, as they lie behind one another.
HEAD = f"""
import sys
def parts():
    import re
    text = "".join(open({str(RUNNER)!r} + "/" + part + ".py").read() for part in ("imports", "given", "finder", "figures", "pictures"))
    runner = {{"__name__": "runner", "sys_modules": sys.modules}}
    exec(compile(re.sub(r"(?m)^( *)from [.].*", r"\\1pass", text), "runner", "exec"), runner)
    runner["look_for_figures"]()
parts()
"""

matplotlib = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import matplotlib"], capture_output=True).returncode != 0, reason="no matplotlib here"
)


@pytest.fixture
def draw(tmp_path):
    """Runs a script in a directory of its own: what it left in out/, and what it said on stderr."""

    def run(script, **environment):
        place = tmp_path / "script.py"
        place.write_text(HEAD + script)
        ended = subprocess.run([sys.executable, "-B", place], cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "DISPLAY": "", **environment})
        assert ended.returncode == 0, ended.stderr
        out = tmp_path / "out"
        pictures = {path.name: path.read_bytes() for path in out.iterdir()} if out.exists() else {}
        assert all(picture.startswith(b"\x89PNG\r\n\x1a\n") for picture in pictures.values())
        return sorted(pictures), ended.stderr

    return run


def test_nothing_is_imported_for_it(draw):
    assert draw("import json\nassert not [name for name in sys.modules if 'matplotlib' in name]\nassert len([f for f in sys.meta_path if getattr(f, '__name__', '') == 'OwnFinder']) == 1") == ([], "")


@matplotlib
def test_show_saves_each_open_figure_and_closes_it(draw):
    script = """
import matplotlib.pyplot as plt
plt.plot([1, 2, 3])
plt.figure()
plt.plot([3, 2, 1])
plt.show()
assert plt.get_fignums() == []
plt.plot([1])
plt.show()
plt.show()
assert plt.get_backend().lower() == "agg"
"""
    names, told = draw(script)
    assert names == ["figure-1.png", "figure-2.png", "figure-3.png"]
    assert told.splitlines() == [
        "show(): there is no display, the figures are in out/figure-1.png, out/figure-2.png",
        "show(): there is no display, the figures are in out/figure-3.png",
    ]


@matplotlib
@pytest.mark.parametrize("first", ["import matplotlib\nmatplotlib.use('Agg')", "import os\nos.mkdir('d')\nos.chdir('d')", "import os\nos.mkdir('out')"])
def test_wherever_the_script_is_and_whatever_it_chose(draw, first):
    names, told = draw(first + "\nimport matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()")
    assert names == ["figure-1.png"] and told.count("\n") == 1


@matplotlib
def test_what_would_stand_open_is_saved_once_at_the_end(draw):
    script = """
import matplotlib.pyplot as plt
plt.ion()
figure, axes = plt.subplots()
for number in range(3):
    axes.plot([number, 1])
    plt.draw()
    plt.pause(0.001)
    plt.show()
other = plt.figure()
other.show()
closed = plt.figure()
closed.show()
plt.close(closed)
plt.figure()
"""
    names, told = draw(script)
    assert names == ["figure-1.png", "figure-2.png"] and told.count("\n") == 1


@matplotlib
def test_saving_works_as_ever(draw):
    script = """
import io
import matplotlib.pyplot as plt
figure = plt.figure()
plt.plot([1, 2])
plt.savefig(io.BytesIO())
figure.savefig(io.BytesIO(), format="svg")
plt.switch_backend("svg")
plt.plot([1, 2])
plt.switch_backend("agg")
"""
    assert draw(script) == ([], "")


@matplotlib
def test_where_matplotlib_was_there_before(tmp_path, draw):
    early = "import matplotlib.pyplot as plt\nplt.figure()\nplt.close()\n"
    place = tmp_path / "early.py"
    place.write_text(early + HEAD + "plt.plot([1])\nplt.show()\nassert plt.get_fignums() == []\nplt.figure().show()")
    ended = subprocess.run([sys.executable, "-B", place], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert sorted(os.listdir(tmp_path / "out")) == ["figure-1.png", "figure-2.png"]


@matplotlib
def test_what_cannot_be_saved_is_told(draw):
    names, told = draw("import matplotlib.pyplot as plt\nopen('out', 'w').close()\nplt.plot([1])\ntry:\n    plt.show()\nfinally:\n    import os; os.remove('out')")
    assert names == [] and "could not be put into out/" in told and told.count("\n") == 1
