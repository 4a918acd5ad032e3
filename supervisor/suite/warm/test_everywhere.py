"""docs/files.md, docs/warm-pool.md: what the shipped runtime has is as good warm as it is cold."""

import pytest

MODULES = '["matplotlib.pyplot", "openpyxl", "PIL.Image", "requests", "httpx", "yaml", "jinja2", "tabulate", "tqdm"]'


@pytest.fixture(scope="module")
def service(start_for_module):
    profile = '[profile.{0}]\nextends = "default"\nwarm = {{ imports = {1}, parked = 1, children = "{0}" }}\n'
    return start_for_module(policy=profile.format("forked", MODULES) + profile.format("started", MODULES), warm=False)


@pytest.mark.parametrize("profile", ["forked", "started", "default"])
def test_pictures_have_all_letters_and_no_list_of_fonts_is_made(service, profile):
    def main():
        import io
        import logging
        import sys
        import warnings

        warnings.simplefilter("error")
        early, said = "matplotlib.pyplot" in sys.modules, []
        log = logging.getLogger("matplotlib.font_manager")
        log.setLevel(logging.DEBUG)
        log.addFilter(lambda record: said.append(record.msg))
        import matplotlib.pyplot as plt

        def drawn(text):
            figure = plt.figure(figsize=(1, 1))
            figure.text(0, 0, text)
            file = io.BytesIO()
            figure.savefig(file, format="png")
            return file.getvalue()

        # Each its own, and none the box that stands for a letter that is nowhere.
        glyphs = len({drawn(letter) for letter in "a气あ한🎉🧪Ж"})
        return early, glyphs, [text for text in said if "fontManager" in text]

    answer = service.client.execute(main, profile=profile)
    early = profile != "default"
    assert answer.result == [early, 7, [] if early else ["Using fontManager instance from %s"]], answer
    assert answer.stderr == ""


@pytest.mark.parametrize("profile", ["forked", "started", "default"])
def test_what_a_library_registers_for_the_end_is_not_taken_for_a_call_of_main(service, profile):
    """What tells processes whose call of `main` is the run is made where a script might call it elsewhere, and for no import's sake."""
    def main():
        import os

        if os.fork() == 0:
            os._exit(0)
        os.wait()
        return [fd for fd in range(64) if os.path.lexists(f"/proc/self/fd/{fd}") and os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:")]

    assert service.client.execute(main, profile=profile).result == []
