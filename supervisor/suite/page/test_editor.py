"""The editor: keys as people expect, and colours that say the truth about the text."""

import io
import textwrap
import tokenize

import pytest
from playwright.sync_api import expect

SOURCE = "def f(a):\n    if a:\n        return [\n            a,\n        ]\n"


def type_in(page, text, start, end=None):
    """A text, with this selected."""
    page.script.fill(text)
    page.script.evaluate("(area, [start, end]) => area.setSelectionRange(start, end)", [start, start if end is None else end])


def selected(page):
    return page.script.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)")


@pytest.mark.parametrize(("text", "at", "keys", "expected"), [
    ("def f():", 8, ["Enter"], "def f():\n    "),
    ("def f():  # why", 15, ["Enter"], "def f():  # why\n    "),
    ("    a = 1", 9, ["Enter"], "    a = 1\n    "),
    ("a = 1  # note:", 14, ["Enter"], "a = 1  # note:\n"),
    ("a = 'b:", 7, ["Enter"], "a = 'b:\n"),
    ('"""\nnote:', 9, ["Enter"], '"""\nnote:\n'),
    ("\tif a:", 6, ["Enter"], "\tif a:\n\t    "),
    ("    if a:", 4, ["Enter"], "    \n    if a:"),
    ("ab", 1, ["Tab"], "a   b"),
    ("ab", 0, ["Tab", "Tab"], "        ab"),
    ("      ab", 8, ["Shift+Tab"], "  ab"),
    ("\tab", 1, ["Shift+Tab"], "ab"),
    ("ab", 1, ["Shift+Tab"], "ab"),
    ("        ab", 8, ["Backspace"], "    ab"),
    ("      ab", 6, ["Backspace"], "    ab"),
    ("a   b", 4, ["Backspace"], "a  b"),
])
def test_keys_keep_the_indentation(page, text, at, keys, expected):
    type_in(page, text, at)
    for key in keys:
        page.script.press(key)
    assert page.script.input_value() == expected


def test_whole_lines_are_indented_and_stay_selected(page):
    text = "a\n\n    b\nc\nd"
    type_in(page, text, 0, text.index("d"))
    page.script.press("Tab")
    assert page.script.input_value() == "    a\n\n        b\n    c\nd"
    page.script.press("Shift+Tab")
    assert page.script.input_value() == text
    page.script.press("Shift+Tab")
    assert page.script.input_value() == "a\n\nb\nc\nd"
    assert selected(page) == "a\n\nb\nc\n"


def test_everything_can_be_undone_and_done_again(page):
    type_in(page, "if a:", 5)
    page.script.press("Enter")
    page.script.press_sequentially("b")
    type_at_once = page.script.input_value()
    page.script.press("Control+a")
    page.script.press("Tab")
    indented = page.script.input_value()
    assert (type_at_once, indented) == ("if a:\n    b", "    if a:\n        b")
    page.pick("2 + 2")
    assert "2 + 2" in page.script.input_value()
    page.script.press("Control+z")
    assert page.script.input_value() == indented
    page.script.press("Control+z")
    assert page.script.input_value() == type_at_once
    page.script.press("Control+Shift+z")
    assert page.script.input_value() == indented
    expect(page.colours).to_have_text(indented, use_inner_text=False)


def test_the_keyboard_alone_gets_in_and_out(page):
    expect(page.keys).to_contain_text("Esc, then Tab, leaves the editor")
    page.key.focus()
    seen = []
    while (now := page.tab.evaluate("document.activeElement.id")) != "script":
        seen.append(now)
        page.tab.keyboard.press("Tab")
    assert seen == ["key", "", "", "example", "run"]
    text = page.script.input_value()
    page.tab.keyboard.press("Escape")
    page.tab.keyboard.press("Shift+Tab")
    expect(page.run_button).to_be_focused()
    page.tab.keyboard.press("Tab")
    expect(page.script).to_be_focused()
    page.tab.keyboard.press("Escape")
    page.tab.keyboard.press("Tab")
    expect(page.tab.locator("summary", has_text="More")).to_be_focused()
    assert page.script.input_value() == text
    # Only the key right after Escape leaves.
    page.script.press("Escape")
    page.script.press("End")
    page.script.press("Tab")
    expect(page.script).to_be_focused()


def test_a_script_outlives_a_reload(page):
    page.script.fill(SOURCE)
    page.tab.reload()
    expect(page.script).to_have_value(SOURCE)
    expect(page.colours.locator(".line")).to_have_count(6)


def test_colours_lie_under_their_text(page):
    long = "x" * 300
    for text in [SOURCE, f"a = '{long}'\n\tb = '\t'\n", "\n" * 80, ""]:
        page.script.fill(text)
        assert page.colours.evaluate("pre => [...pre.children].map((line) => line.textContent).join('\\n')") == text
        boxes = page.script.evaluate("""area => {
            const line = document.querySelector(".line"), style = getComputedStyle(area);
            return [area.scrollWidth - area.clientWidth, area.scrollHeight - area.clientHeight,
                    parseFloat(style.paddingLeft) - parseFloat(getComputedStyle(line).paddingLeft),
                    document.querySelector("#colours").offsetHeight <= area.offsetHeight];
        }""")
        assert boxes == [0, 0, 0, True], text


def test_the_caret_stays_in_view(page):
    page.script.fill("x = 1\n" * 200)
    page.script.press("Control+End")
    page.script.press_sequentially("here")
    expect(page.tab.locator(".line", has_text="here")).to_be_in_viewport()


@pytest.mark.parametrize("edit", [(0, 0, '"""'), (3, 9, ""), (10, 10, "'''\n"), (0, 25, "#"), (30, 31, "\n\n")])
def test_an_edit_leaves_the_colours_that_the_whole_text_has(page, edit):
    start, end, text = edit
    type_in(page, SOURCE * 3, start, end)
    page.tab.keyboard.insert_text(text) if text else page.script.press("Delete")
    edited = page.colours.inner_html()
    page.script.fill("")
    page.script.fill((SOURCE * 3)[:start] + text + (SOURCE * 3)[end:])
    assert page.colours.inner_html() == edited


def test_a_large_script_is_plain_and_can_be_run(page):
    # As a whole: a browser takes long to type that much.
    page.script.evaluate("""(area, text) => { area.value = text; area.dispatchEvent(new InputEvent("input")); }""",
                         "# a comment\n" * 20_000 + "def main(): return 'large'")
    page.run()
    expect(page.result).to_contain_text('"large"')
    expect(page.tab.locator(".line")).to_have_count(0)
    page.script.fill(SOURCE)
    expect(page.tab.locator(".line")).to_have_count(6)


def kinds(page, source):
    """The kind of each character, by the page's tokenizer."""
    lines = page.tab.evaluate("""async (source) => {
        const { colour } = await import("/page/python.js");
        let open = "";
        return source.split("\\n").map((line) => {
            const [parts, left] = colour(line, open);
            open = left;
            return parts;
        });
    }""", source)
    assert "\n".join("".join(text for _, text in parts) for parts in lines) == source
    return [[kind for kind, text in parts for _ in text] for parts in lines]


@pytest.mark.parametrize("module", [textwrap, tokenize, io])
def test_strings_comments_and_numbers_are_those_of_python(page, module):
    with open(module.__file__) as file:
        source = file.read()
    coloured = kinds(page, source)
    of = {tokenize.COMMENT: "c", tokenize.STRING: "s", tokenize.NUMBER: "n"}
    expected = [[None] * len(line) for line in source.split("\n")]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        (row, start), (last, end) = token.start, token.end
        for number in range(row, last + 1):
            line = expected[number - 1]
            for at in range(start if number == row else 0, min(end, len(line)) if number == last else len(line)):
                line[at] = of.get(token.type, "")
    wrong = [(number + 1, at) for number, line in enumerate(expected) for at, kind in enumerate(line)
             if kind is not None and (kind or coloured[number][at] in "csn") and coloured[number][at] != kind]
    assert not wrong, [(place, source.split("\n")[place[0] - 1]) for place in wrong[:5]]


@pytest.mark.parametrize(("line", "expected"), [
    ("x = rb'a' + f\"{b!r}\" if None else 0x_ff", "x = rb'a'=s + f\"{b!r}\"=s if=k None=k else=k 0x_ff=n"),
    ("    @cache.of  # c", "    @cache.of=d   # c=c"),
    ("def größe(print): a @ b", "def=k größe=d (print=b ): a @ b"),
    ("match point:", "match=k  point:"),
    ("match = 1_000.5e-3j", "match =  1_000.5e-3j=n"),
    (r"'a\'b' 'open", r"'a\'b'=s  'open=s"),
])
def test_words_have_their_kinds(page, line, expected):
    parts = page.tab.evaluate("async (line) => (await import('/page/python.js')).colour(line, '')[0]", line)
    told = "".join(text + (f"={kind} " if kind else "") for kind, text in parts)
    assert told.replace(" ", "") == expected.replace(" ", "")
