"""docs/files.md, Pictures: "It puts each open one into `out/` ... says so on stderr and closes them"."""

import base64

import pytest


@pytest.fixture
def draw(scientific):
    return lambda script, **fields: scientific.client.execute(script, profile="scientific", **fields)


def test_figures_that_are_shown_come_back(draw):
    script = "import matplotlib.pyplot as plt\ndef main():\n    plt.plot([1, 2]); plt.show()\n    plt.plot([2, 1]); plt.figure(); plt.show()\n    return plt.get_fignums()"
    answer = draw(script)
    assert answer.result == [] and "files_left" not in answer.body
    assert [file["name"] for file in answer.files] == ["figure-1.png", "figure-2.png", "figure-3.png"]
    assert all(base64.b64decode(file["content_base64"]).startswith(b"\x89PNG") for file in answer.files)
    assert answer.stderr.splitlines() == ["show(): there is no display, the figures are in out/figure-1.png",
                                          "show(): there is no display, the figures are in out/figure-2.png, out/figure-3.png"]


def test_another_interpreter_draws_as_it_would_anywhere(draw):
    script = """
import subprocess, sys
def main():
    code = "import matplotlib.pyplot as plt; plt.plot([1]); plt.show(); plt.savefig('out/a.png')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).returncode
"""
    answer = draw(script)
    assert answer.result == 0 and [file["name"] for file in answer.files] == ["a.png"]
