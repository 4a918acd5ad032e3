"""What matplotlib's `show()` comes to where there is no display: pictures in `out/`, where files come back from."""

import sys

from .captured import sys_modules
from .imports import found_and_then

# Figures whose windows would stay open beside a script that goes on: their pictures are those of its end.
standing = []
# What shows figures where there is somebody to see them.
shown_elsewhere = []
# What the runtime has beside its fonts, once it was read.
beside_fonts = {}


def find_agg(name, path):
    return found_and_then(name, path, change_agg)


def find_fonts(name, path):
    letters("lend")
    return found_and_then(name, path, lambda fonts: letters("change", fonts))


def letters(step, *arguments):
    """Do what the runtime has beside its fonts, if it has any; a matplotlib that it is not for does without."""
    try:
        if not beside_fonts:
            with open("/usr/share/matplotlib/letters.py") as file:
                exec(file.read(), beside_fonts)
        beside_fonts[step](*arguments)
    except Exception:
        pass


def change_agg(agg):
    from matplotlib.backend_bases import FigureManagerBase

    class FigureManager(FigureManagerBase):
        def show(self):
            leave_standing([self])

    agg.FigureCanvasAgg.manager_class = agg.FigureManager = FigureManager
    agg.show = show
    in_use = getattr(sys_modules.get("matplotlib.pyplot"), "_backend_mod", None)
    if getattr(in_use, "FigureCanvas", None) is agg.FigureCanvas:
        in_use.show = staticmethod(show)


def show(block=None):
    from matplotlib import is_interactive
    from matplotlib._pylab_helpers import Gcf

    managers = Gcf.get_all_fig_managers()
    if not (block or block is None and not is_interactive()):
        leave_standing(managers)
        return
    save(managers)
    Gcf.destroy_all()


def leave_standing(managers):
    if shown_elsewhere:
        return  # when the cell ends
    if not standing:
        import atexit

        atexit.register(save_standing)
    standing.extend(manager for manager in managers if manager not in standing)


def save_standing():
    from matplotlib._pylab_helpers import Gcf

    there = Gcf.get_all_fig_managers()
    save([manager for manager in standing if manager in there])


def save(managers):
    """Put each figure into a file of its own, and say so."""
    if shown_elsewhere:
        shown_elsewhere[0](managers)
        return
    names, why = [], None
    for manager in managers:
        try:
            file = new_picture()
            with file:
                manager.canvas.figure.savefig(file, format="png")
            names.append("/".join(file.name.rsplit("/", 2)[1:]))
        except OSError as error:
            why = error
    if names:
        print("show(): there is no display, the figures are in " + ", ".join(names), file=sys.stderr)
    if why is not None:
        print(f"show(): there is no display, and a figure could not be put into out/: {why}", file=sys.stderr)


def new_picture():
    """A new file in the `out` that comes back: in the directory that the script began in, or in /tmp."""
    import os

    begun = os.path.dirname(os.path.abspath(getattr(sys_modules["__main__"], "__file__", None) or "script.py"))
    out = os.path.join(begun if os.access(begun, os.W_OK) else "/tmp", "out")
    os.makedirs(out, exist_ok=True)
    number = 1
    while True:
        try:
            return open(os.path.join(out, f"figure-{number}.png"), "xb")
        except FileExistsError:
            number += 1
