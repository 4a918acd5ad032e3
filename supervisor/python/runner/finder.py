"""The runner's own finder of modules, for those at whose import it has something to do: nothing is imported ahead for it."""

import sys

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
