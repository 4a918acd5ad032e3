"""Finds out that a script draws with matplotlib where there is no display, whatever draws with that (pandas, seaborn).

Nothing is imported for it: the module for drawing without a display is changed once matplotlib itself imports it. So is
that of the fonts, as the runtime that has fonts has it.
"""

from .captured import sys_modules
from .finder import AGG, FONTS, stand_first


def look_for_figures():
    stand_first()
    if AGG in sys_modules:
        from .pictures import change_agg

        change_agg(sys_modules[AGG])
    if FONTS in sys_modules:
        from .pictures import letters

        letters("change", sys_modules[FONTS])
