"""Letters that a font lacks are drawn from the fonts of this tree that have them, whatever font a script has chosen.

It lies in the tree beside matplotlib's list of those fonts. Who imports matplotlib's `font_manager` calls `lend` before and
`change` after. Without it a script would have to name each font (matplotlib looks for a letter in the families that are
named, and in no other), and styles such as seaborn's would take the names away again.
"""

import dataclasses
import os
import shutil
import sys

HERE = "/usr/share/matplotlib"

# Fonts that have what others lack, and under which names people ask for the like.
OTHERS = {
    "WenQuanYi Micro Hei": (
        "SimHei", "SimSun", "Microsoft YaHei", "PingFang SC", "Heiti SC", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Sans CJK SC", "Noto Sans CJK TC",
        "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR", "Source Han Sans SC", "Arial Unicode MS", "MS Gothic", "Meiryo",
        "Yu Gothic", "IPAexGothic", "Hiragino Sans", "Malgun Gothic", "NanumGothic", "AppleGothic",
    ),
    "DejaVu Sans": (),
    "Noto Emoji": ("Noto Color Emoji", "Segoe UI Emoji", "Apple Color Emoji"),
}


def lend():
    """Put the list where matplotlib looks for one, and so has none to make."""
    try:
        cache = sys.modules["matplotlib"].get_cachedir()
        for name in os.listdir(HERE):
            if name.endswith(".json") and not os.path.exists(os.path.join(cache, name)):
                shutil.copyfile(os.path.join(HERE, name), os.path.join(cache, name))
    except OSError:
        pass  # it makes its own


def plainness(entry):
    return entry.style == "normal", entry.variant == "normal", entry.weight in (400, "normal", "regular", "book"), entry.fname


def change(font_manager):
    fonts, kind = font_manager.fontManager.ttflist, font_manager.FontManager
    # Of one name its plain face, in whatever order they were found.
    by_name = {entry.name: entry for entry in sorted(fonts, key=plainness)}
    there = [by_name[name] for name in OTHERS if name in by_name]
    fonts.extend(dataclasses.replace(entry, name=name) for entry in there for name in OTHERS[entry.name] if name not in by_name)
    find, more = kind._find_fonts_by_props, [entry.fname for entry in there]

    def find_all(self, prop, fontext="ttf", *arguments, **named):
        found = find(self, prop, fontext, *arguments, **named)
        return found + [path for path in more if path not in found] if fontext == "ttf" else found

    kind._find_fonts_by_props = find_all
