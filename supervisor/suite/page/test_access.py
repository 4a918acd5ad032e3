"""For everybody: names and roles, contrast, small screens, large letters, less motion."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 320, "height": 640}

# Each shows other parts of the page.
STATES = {
    "at first": None,
    "a table": "def main(): return [{'n': n, 's': 'x' * 60} for n in range(40)]",
    "a failure": "import socket, sys\ndef main():\n    print('out' * 200)\n    print('err', file=sys.stderr)\n    socket.socket()",
    "a result": "def main(): return {'a': [1, None, 'x' * 300], 'b': {'c': 1.5}}",
    "a syntax error": "def main(:\n    '''text\n@d\nclass C: # c",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing(visit, size, scheme):
    page = visit(viewport=size, color_scheme=scheme)
    page.tab.get_by_text("More: arguments").click()
    axe = Axe()
    for state, script in STATES.items():
        if script:
            page.run(script)
        found = axe.run(page.tab, options={"resultTypes": ["violations"]}).response["violations"]
        assert not found, (state, [(rule["id"], node["html"], node["any"]) for rule in found for node in rule["nodes"]])


@pytest.mark.parametrize("size", [PHONE, {"width": 640, "height": 400}, WIDE], ids=["phone", "zoomed", "wide"])
def test_nothing_is_cut_off_at_the_side(visit, size):
    page = visit(viewport=size)
    page.tab.get_by_text("More: arguments").click()
    for state, script in STATES.items():
        if script:
            page.run(script)
        beyond = page.tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert beyond == 0, state
        for id in ("key", "example", "run", "args", "timeout_ms"):
            box = getattr(page, id if id != "run" else "run_button").bounding_box()
            assert 0 <= box["x"] and box["x"] + box["width"] <= size["width"], (state, id)


def test_what_happens_is_announced(page):
    """By regions that were there before: what is put in place with its text is not read out."""
    expect(page.tab.get_by_role("status")).to_have_count(1)
    expect(page.tab.get_by_role("status")).to_have_text("")
    page.run("def main(): raise ValueError('no')")
    expect(page.tab.get_by_role("status")).to_have_text("Failed")
    expect(page.tab.get_by_role("alert")).to_contain_text("ValueError: no")
    expect(page.script).to_have_attribute("aria-errormessage", "error")
    page.run("def main(): return 1")
    expect(page.tab.get_by_role("status")).to_have_text("Returned")
    expect(page.tab.get_by_role("alert")).to_have_text("")


def test_everything_has_a_name(page):
    page.tab.get_by_text("More: arguments").click()
    for role, name in [
        ("textbox", "Script"), ("textbox", "Key"), ("textbox", "args"), ("textbox", "kwargs"), ("textbox", "stdin"), ("textbox", "profile"),
        ("textbox", "timeout, in ms"), ("textbox", "argv, of a program"), ("textbox", "files to return, beside those in out/"), ("combobox", "run as"), ("combobox", "Example"), ("button", "Run"), ("link", "API"), ("region", "Outcome"), ("region", "Script"),
    ]:
        expect(page.tab.get_by_role(role, name=name, exact=True)).to_have_count(1)
    expect(page.script).to_have_accessible_description("Ctrl Enter runs. Tab indents; Esc, then Tab, leaves the editor.")
    page.run("def main(): return [{'a': 1}]")
    expect(page.tab.get_by_role("table", name="Result")).to_have_count(1)
    expect(page.tab.get_by_role("columnheader", name="a")).to_have_count(1)


@pytest.mark.parametrize(("motion", "animation"), [("reduce", "none"), ("no-preference", "pass")])
def test_who_wants_no_motion_gets_none(visit, motion, animation):
    page = visit(reduced_motion=motion)
    assert page.progress.evaluate("bar => getComputedStyle(bar).animationName") == animation
