"""Finds out that a script draws with matplotlib where there is no display, whatever draws with that (pandas, seaborn).

Nothing is imported for it: the module for drawing without a display is changed once matplotlib itself imports it. So is
that of the fonts, as the runtime that has fonts has it.
"""

import sys

from .captured import sys_modules

AGG = "matplotlib.backends.backend_agg"
FONTS = "matplotlib.font_manager"


class AggFinder:
    """Stands in front of those who find modules, and knows two alone."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == AGG:
            from .pictures import find_agg

            return find_agg(name, path)
        if name == FONTS:
            from .pictures import find_fonts

            return find_fonts(name, path)
        return None


def stand_first():
    """In front of whoever has put himself there meanwhile."""
    sys.meta_path[:] = [AggFinder, *(finder for finder in sys.meta_path if finder is not AggFinder)]


def look_for_figures():
    stand_first()
    if AGG in sys_modules:
        from .pictures import change_agg

        change_agg(sys_modules[AGG])
    if FONTS in sys_modules:
        from .pictures import letters

        letters("change", sys_modules[FONTS])
