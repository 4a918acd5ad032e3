"""Fonts for pictures, where matplotlib and Pillow look for them (/usr/share/fonts), and what matplotlib finds out about them.

Beside DejaVu Sans, which comes with matplotlib: WenQuanYi Micro Hei for Chinese, Japanese and Korean, and Noto Emoji, in
black and white, for matplotlib draws no coloured glyphs. Each with its licence. `fonts.json` beside `usr/` tells which there are.
"""

import json
import os
import shutil
import sys
import tempfile
from urllib.parse import quote
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

CHINESE = "fonts-wqy-microhei"

MAKE_LIST = """
import matplotlib.font_manager, pathlib
[made] = pathlib.Path(matplotlib.get_cachedir()).glob("fontlist-*.json")
print(made.name)
print(made.read_text())
"""
TELL_VERSIONS = """
import json, pathlib, sys
from fontTools.ttLib import TTFont
told = {}
for file in pathlib.Path(sys.argv[1]).iterdir():
    told[file.name] = TTFont(file, fontNumber=0)["name"].getDebugName(5).removeprefix("Version ")
print(json.dumps(told))
"""


def install(new, packages, pip_install):
    """Put them into a new tree, whose packages are in `packages`; debian.Problem if one cannot be fetched.

    `pip_install(requirements, target)` installs what a file pins.
    """
    ours = packages / "matplotlib/mpl-data/fonts/ttf"
    for name in DEJAVU:
        put(new, ours / name, name)
        # Once in the tree, and where matplotlib has it all the same.
        (ours / name).unlink()
        (ours / name).symlink_to(os.path.relpath(new / FONTS / name, ours))
    licence(new, ours / "LICENSE_DEJAVU", "DejaVu")
    there = [told("DejaVu Sans", DEJAVU, "Bitstream-Vera", wheel(packages, "matplotlib"))]
    with tempfile.TemporaryDirectory(prefix="cloister-fonts-") as scratch:
        unpacked = Path(scratch) / "wheel"
        pip_install("requirements-fonts.txt", unpacked)
        put(new, unpacked / "manimgx_fonts/NotoEmoji[wght].ttf", "NotoEmoji.ttf")
        licence(new, next(unpacked.glob("*.dist-info/licenses/LICENSE")), "NotoEmoji")
        there.append(told("Noto Emoji", ["NotoEmoji.ttf"], "OFL-1.1", wheel(unpacked, "manimgx_fonts")))
        if debian.is_here():
            there.append(chinese(new, Path(scratch)))
        else:
            print(f"runtime: there is no apt to fetch {CHINESE} with: pictures will lack the letters of Chinese, Japanese and Korean", file=sys.stderr, flush=True)
    (new / "fonts.json").write_text(json.dumps(there, indent=1) + "\n")


def chinese(new, scratch):
    apt, unpacked = debian.Apt(scratch / "apt", debian.sources()), scratch / "debian"
    try:
        apt.update()
    except debian.Problem as problem:
        # It may be of an archive that does not matter here.
        print(f"runtime: apt says: {problem}", file=sys.stderr, flush=True)
    version = apt.unpack(CHINESE, unpacked)
    put(new, next(unpacked.rglob("wqy-microhei.ttc")), "wqy-microhei.ttc")
    licence(new, unpacked / f"usr/share/doc/{CHINESE}/copyright", "wqy-microhei")
    return told("WenQuanYi Micro Hei", ["wqy-microhei.ttc"], "Apache-2.0 OR GPL-3.0-or-later WITH Font-exception-2.0",
                f"pkg:deb/debian/{CHINESE}@{quote(version)}?arch=all")


def told(name, files, licence, package):
    """What is known of a font: the package that it came in is a package URL."""
    return {"name": name, "files": [*files], "licence": licence, "package": package}


def wheel(directory, name):
    [found] = directory.glob(f"{name}-*.dist-info")
    return f"pkg:pypi/{name.replace('_', '-')}@{found.stem.partition('-')[2]}"


def put(new, source, name):
    (new / FONTS).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, new / FONTS / name)


def licence(new, source, name):
    (new / LICENCES).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, new / LICENCES / f"{name}.txt")


def list_them(new):
    """Have matplotlib make its list of fonts, so that no job does, and the fonts tell their versions; what went wrong, if something did."""
    made, versions = base.run_in(new, MAKE_LIST), base.run_in(new, TELL_VERSIONS, f"/{FONTS}")
    if made.returncode != 0 or versions.returncode != 0:
        return made.stderr + versions.stderr
    name, _, text = made.stdout.partition("\n")
    (new / LIST).mkdir(parents=True)
    (new / LIST / name).write_text(text)
    shutil.copyfile(USE, new / LIST / "letters.py")
    version_of = json.loads(versions.stdout)
    there = [{**font, "version": version_of[font["files"][0]]} for font in json.loads((new / "fonts.json").read_text())]
    (new / "fonts.json").write_text(json.dumps(there, indent=1) + "\n")
    return None
