"""Finds out that a script draws with matplotlib where there is no display, whatever draws with that (pandas, seaborn), and that it
asks for what the request gives it to call.

Nothing is imported for it: the module for drawing without a display is changed once matplotlib itself imports it. So is
that of the fonts, as the runtime that has fonts has it.
"""

import sys

from .captured import sys_modules
from .given import GIVEN_MODULES, given_calls

AGG = "matplotlib.backends.backend_agg"
FONTS = "matplotlib.font_manager"


class OwnFinder:
    """Stands in front of those who find modules, and knows four alone."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == AGG:
            from .pictures import find_agg

            return find_agg(name, path)
        if name == FONTS:
            from .pictures import find_fonts

            return find_fonts(name, path)
        if name in GIVEN_MODULES and given_calls[0] is not None:
            from .tools import TOOLS_SPECS

            return TOOLS_SPECS[name]
        return None


def stand_first():
    """In front of whoever has put himself there meanwhile."""
    sys.meta_path[:] = [OwnFinder, *(finder for finder in sys.meta_path if finder is not OwnFinder)]


def look_for_figures():
    stand_first()
    if AGG in sys_modules:
        from .pictures import change_agg

        change_agg(sys_modules[AGG])
    if FONTS in sys_modules:
        from .pictures import letters

        letters("change", sys_modules[FONTS])
