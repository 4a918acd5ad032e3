"""Figures of matplotlib's in a session: shown as pictures when a cell ends, and closed."""

import sys

from .bundles import bundle_of, drawn, show_bundle
from .captured import sys_modules
from .pictures import shown_elsewhere

# Figures that the cell has shown already, for as long as it runs.
shown_figures = []


def figures_are_shown():
    """From now on `show()` shows figures, and puts none into files."""
    if not shown_elsewhere:
        shown_elsewhere.append(show_managers)
        drawn.append(picture_of)


def picture_of(value):
    """The picture of a figure, as base64; of anything else nothing."""
    figure = getattr(sys_modules.get("matplotlib.figure"), "Figure", None)
    if figure is None or not isinstance(value, figure):
        return None
    import binascii
    import io

    file = io.BytesIO()
    try:
        value.savefig(file, format="png", bbox_inches="tight")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        print(f"a figure could not be drawn: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    if not any(value is other for other in shown_figures):
        shown_figures.append(value)
    return binascii.b2a_base64(file.getbuffer(), newline=False).decode()


def show_managers(managers):
    for manager in managers:
        figure = manager.canvas.figure
        if not any(figure is other for other in shown_figures):
            show_bundle(b"M", bundle_of(figure))


def show_open_figures():
    """Show those that are open and were not shown, and close all."""
    pyplot_helpers = sys_modules.get("matplotlib._pylab_helpers")
    if pyplot_helpers is not None:
        managers = pyplot_helpers.Gcf.get_all_fig_managers()
        if managers:
            show_managers(managers)
            pyplot_helpers.Gcf.destroy_all()
    shown_figures.clear()
