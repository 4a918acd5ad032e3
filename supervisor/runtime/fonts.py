"""Fonts for pictures, where matplotlib and Pillow look for them (/usr/share/fonts), and what matplotlib finds out about them.

Beside DejaVu Sans, which comes with matplotlib: WenQuanYi Micro Hei for Chinese, Japanese and Korean, and Noto Emoji, in
black and white, for matplotlib draws no coloured glyphs. Each with its licence.
"""

import os
import shutil
import tempfile
from pathlib import Path

import base
import debian

FONTS = "usr/share/fonts/truetype"
LICENCES = "usr/share/doc/fonts"
# Where the runner looks for matplotlib's list of fonts, and for how they are used.
LIST = "usr/share/matplotlib"
USE = Path(__file__).resolve().with_name("letters.py")
# Those that scripts ask Pillow for by these names; the others are in matplotlib's own data.
DEJAVU = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf")

MAKE_LIST = """
import matplotlib.font_manager, pathlib
[made] = pathlib.Path(matplotlib.get_cachedir()).glob("fontlist-*.json")
print(made.name)
print(made.read_text())
"""


def install(new, packages, pip_install):
    """Put them into a new tree, whose packages are in `packages`; what went wrong, if something did.

    `pip_install(requirements, target)` installs what a file pins.
    """
    ours = packages / "matplotlib/mpl-data/fonts/ttf"
    for name in DEJAVU:
        put(new, ours / name, name)
        # Once in the tree, and where matplotlib has it all the same.
        (ours / name).unlink()
        (ours / name).symlink_to(os.path.relpath(new / FONTS / name, ours))
    licence(new, ours / "LICENSE_DEJAVU", "DejaVu")
    with tempfile.TemporaryDirectory(prefix="cloister-fonts-") as scratch:
        wheel = Path(scratch) / "wheel"
        pip_install("requirements-fonts.txt", wheel)
        put(new, wheel / "manimgx_fonts/NotoEmoji[wght].ttf", "NotoEmoji.ttf")
        licence(new, next(wheel.glob("*.dist-info/licenses/LICENSE")), "NotoEmoji")
        unpacked = Path(scratch) / "debian"
        problem = debian.fetch(["fonts-wqy-microhei"], unpacked)
        if problem:
            return problem
        put(new, next(unpacked.rglob("wqy-microhei.ttc")), "wqy-microhei.ttc")
        licence(new, unpacked / "usr/share/doc/fonts-wqy-microhei/copyright", "wqy-microhei")
    return None


def put(new, source, name):
    (new / FONTS).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, new / FONTS / name)


def licence(new, source, name):
    (new / LICENCES).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, new / LICENCES / f"{name}.txt")


def list_them(new):
    """Have matplotlib make its list of fonts, so that no job does; what went wrong, if something did."""
    made = base.run_in(new, MAKE_LIST)
    if made.returncode != 0:
        return made.stderr
    name, _, text = made.stdout.partition("\n")
    (new / LIST).mkdir(parents=True)
    (new / LIST / name).write_text(text)
    shutil.copyfile(USE, new / LIST / "letters.py")
    return None
