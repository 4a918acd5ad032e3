"""The notebook: cells that share a session, what they show, how they fail, and the session's files."""

import base64
import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from client import eventually

MARKUP = "<img src=x onerror='window.ran = 1'><script>window.ran = 1</script>"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='7' height='5'><script>top.ran = 1</script></svg>"
TABLE = "import pandas as pd\npd.DataFrame({'name': ['a & b', '<b>c</b>'], 'n': [1, 2]}, index=['x', 'y'])"
DIES = "import os\nos._exit(3)"
SHOWS = """class Shown:
    def __init__(self, data): self.data = data
    def _repr_mimebundle_(self, include=None, exclude=None): return self.data
def show(data): display(Shown({{"text/plain": "<shown>"}} | data))
show({{"image/png": {png!r}}})
show({{"image/svg+xml": {svg!r}}})""".format(png=PIXEL, svg=SVG)


def test_cells_share_a_session_and_keys_run_them(notebook):
    """Shift+Enter runs a cell and goes to the next, at the end to a new one."""
    notebook.code(1).fill("x = 20\nprint('out')")
    notebook.code(1).press("Shift+Enter")
    expect(notebook.code(2)).to_be_focused()
    notebook.code(2).fill("import asyncio\nawait asyncio.sleep(0)\nx + 1")
    notebook.code(2).press("Shift+Enter")
    expect(notebook.code(3)).to_be_focused()
    expect(notebook.output(2)).to_have_text("21")
    expect(notebook.output(1).locator("pre.stdout")).to_have_text("out\n", use_inner_text=False)
    expect(notebook.cell(1).locator(".count")).to_have_text("[1]")
    expect(notebook.cell(2).locator(".count")).to_have_text("[2]")
    assert notebook.code(1).input_value() == "x = 20\nprint('out')"
    notebook.code(2).press("Control+Enter")
    expect(notebook.cell(2).locator(".count")).to_have_text("[3]")
    expect(notebook.code(2)).to_be_focused()


def test_all_are_run_in_turn_and_none_behind_one_that_fails(notebook):
    for number, code in enumerate(["n = 1", "n += 1\n1 / 0", "n += 1"], 1):
        if number == 3:
            notebook.add.click()
        notebook.code(number).fill(code)
    notebook.tab.get_by_role("button", name="Run all").click()
    expect(notebook.state(3)).to_have_text("Not run")
    expect(notebook.state(1)).to_have_text("Done")
    expect(notebook.state(2)).to_have_text("Failed")
    notebook.run(3, "n")
    expect(notebook.output(3)).to_have_text("2")


def test_a_failure_leads_to_its_lines_in_whichever_cell(notebook):
    notebook.run(1, "def f():\n    return 1 / 0")
    notebook.run(2, "x = 1\nf()", "Failed")
    expect(notebook.output(2)).to_contain_text("ZeroDivisionError: division by zero")
    expect(notebook.status).to_have_text("Cell 2: failed, ZeroDivisionError: division by zero")
    notebook.tab.get_by_role("button", name='File "<cell 1>", line 2').click()
    expect(notebook.code(1)).to_be_focused()
    assert notebook.code(1).evaluate("area => area.selectionStart") == len("def f():\n")
    notebook.run(2, "1 +* 2", "Failed")
    expect(notebook.output(2)).to_contain_text("Syntax error, line 1")
    expect(notebook.cell(2).locator(".line.bad")).to_have_text("1 +* 2")


def test_a_cell_that_was_undone_is_marked_with_what_was_not_brought_back(notebook):
    notebook.run(1, "import threading, time\nx = 'kept'\nthreading.Thread(target=time.sleep, args=(10000,), name='ticker').start()")
    notebook.run(2, "x = 'changed'\n" + DIES, "Failed, restored")
    expect(notebook.output(2)).to_contain_text("The session goes on as it was before it.")
    expect(notebook.output(2).locator("li")).to_contain_text(["ticker"])
    notebook.run(1, "x")
    expect(notebook.output(1)).to_have_text("'kept'")


def test_output_is_shown_as_it_comes_and_an_interrupt_is_heeded(notebook):
    notebook.code(1).fill("import time\ntry:\n    print('begun', flush=True)\n    while True: time.sleep(0.01)\nexcept KeyboardInterrupt:\n    print('heard')\n    raise")
    notebook.code(1).press("Shift+Enter")
    expect(notebook.output(1)).to_contain_text("begun")
    expect(notebook.state(1)).to_have_text("Running…")
    notebook.code(2).press("Control+Enter")
    expect(notebook.state(2)).to_have_text("Waiting")
    notebook.interrupt.click()
    expect(notebook.state(1)).to_have_text("Interrupted")
    expect(notebook.output(1)).to_contain_text("heard")
    expect(notebook.state(2)).to_have_text("Not run")
    expect(notebook.interrupt).to_be_focused()
    notebook.interrupt.press("Enter")
    expect(notebook.status).to_have_text("Nothing runs")


def test_pictures_are_shown_and_run_nothing(notebook):
    notebook.run(1, SHOWS)
    images = notebook.output(1).get_by_role("img", name="<shown>")
    expect(images).to_have_count(2)
    for image, size in zip(images.all(), [[1, 1], [7, 5]]):
        eventually(lambda: image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == size, within=120)
    assert not notebook.tab.evaluate("'ran' in window")


def test_a_frame_of_pandas_is_a_table(notebook):
    notebook.run(1, TABLE)
    table = notebook.output(1).get_by_role("table")
    expect(table.get_by_role("columnheader")).to_have_text(["name", "n"])
    expect(table.get_by_role("rowheader")).to_have_text(["x", "y"])
    expect(table.locator("tbody td")).to_have_text(["a & b", "1", "<b>c</b>", "2"])
    notebook.run(1, "pd.DataFrame({('x', 'a'): [1], ('x', 'b'): [2]})")
    expect(table.locator("th[colspan='2']")).to_have_text("x")


@pytest.mark.parametrize("html", [
    MARKUP, f"<table><tr><td>{MARKUP}</td></tr></table>", f"<table><tr><td onclick='ran = 1' style='x'>a</td><td>b<{MARKUP}</td></tr></table>",
    f"<table><tr><td><table><tr><td>{MARKUP}</table></table>", f"<style>x</style><table>{MARKUP}<td><tr></table>", "<table><tr><td>&#0;&#x110000;&lt;b",
    f"<iframe srcdoc=\"{MARKUP}\"></iframe>",
])
def test_what_a_cell_makes_is_text_or_a_bare_table(notebook, html):
    notebook.run(1, f"{SHOWS}\nprint({MARKUP!r})\nshow({{'text/html': {html!r}}})\nshow({{'application/javascript': 'window.ran = 1'}})\n{MARKUP!r}")
    expect(notebook.output(1).locator("pre.stdout")).to_contain_text(MARKUP)
    inside = notebook.output(1).evaluate("""output => [...output.querySelectorAll('*')].flatMap((element) =>
        [element.localName, ...element.getAttributeNames().filter((name) => /^on|^style$|href/.test(name))])""")
    assert set(inside) <= {"pre", "figure", "img", "div", "p", "table", "thead", "tbody", "tr", "td", "th"}, inside
    expect(notebook.output(1).locator("img")).to_have_count(2)
    assert not notebook.tab.evaluate("'ran' in window")


def test_files_go_up_and_down_and_are_deleted(notebook):
    content = bytes(range(256))
    notebook.upload.set_input_files([{"name": "in é.bin", "mimeType": "image/png", "buffer": content}])
    expect(notebook.status).to_have_text("Uploaded")
    notebook.run(1, "import os\nos.makedirs('d/e', exist_ok=True)\nopen('d/e/out#1.html', 'w').write('<b>hi</b>')\nlen(open('in é.bin', 'rb').read())")
    expect(notebook.output(1)).to_have_text("256")
    expect(notebook.files.locator("li")).to_have_count(2)
    for name, expected in [("in é.bin", content), ("d/e/out#1.html", b"<b>hi</b>")]:
        with notebook.tab.expect_download() as download:
            notebook.tab.get_by_role("button", name=f"Download {name}").click()
        assert download.value.suggested_filename == name.split("/")[-1]
        assert open(download.value.path(), "rb").read() == expected
    notebook.tab.get_by_role("button", name="Delete in é.bin").click()
    expect(notebook.files.locator("li")).to_have_count(1)
    notebook.run(1, "os.path.exists('in é.bin')")
    expect(notebook.output(1)).to_have_text("False")


def test_a_cell_can_be_deleted_and_the_focus_is_not_lost(notebook):
    notebook.code(1).fill("1")
    notebook.code(2).fill("2")
    notebook.tab.get_by_role("button", name="Delete cell 1").click()
    expect(notebook.code(1)).to_have_value("2")
    expect(notebook.code(1)).to_be_focused()
    notebook.tab.get_by_role("button", name="Delete cell 1").click()
    expect(notebook.code(1)).to_have_value("")
    expect(notebook.code(1)).to_be_focused()


def test_it_is_exported_as_jupyter_has_it(notebook):
    notebook.run(1, "import sys\nprint('out\\nmore')\nprint('err', file=sys.stderr)\n" + SHOWS)
    notebook.run(2, "[1, 2]")
    notebook.add.click()
    notebook.run(3, "1 / 0", "Failed")
    notebook.add.click()
    notebook.run(4, DIES, "Failed, restored")
    notebook.add.click()
    notebook.code(5).fill("x = 1\nx")
    with notebook.tab.expect_download() as download:
        notebook.tab.get_by_role("button", name="Export .ipynb").click()
    assert download.value.suggested_filename == "notebook.ipynb"
    told = json.load(open(download.value.path()))
    assert (told["nbformat"], told["nbformat_minor"], told["metadata"]["kernelspec"]["name"]) == (4, 5, "python3")
    first, second, third, fourth, fifth = told["cells"]
    assert len({cell["id"] for cell in told["cells"]}) == 5 and {cell["cell_type"] for cell in told["cells"]} == {"code"}
    streams = {output["name"]: "".join(output["text"]) for output in first["outputs"] if output["output_type"] == "stream"}
    assert streams == {"stdout": "out\nmore\n", "stderr": "err\n"}
    png, svg = [output["data"] for output in first["outputs"] if output["output_type"] == "display_data"]
    assert base64.b64decode("".join(png["image/png"])) == base64.b64decode(PIXEL) and "".join(svg["image/svg+xml"]) == SVG
    assert second["outputs"] == [{"output_type": "execute_result", "execution_count": 2, "data": {"text/plain": ["[1, 2]"]}, "metadata": {}}]
    [error] = third["outputs"]
    assert (error["output_type"], error["ename"], error["evalue"]) == ("error", "ZeroDivisionError", "division by zero")
    assert error["traceback"][-1] == "ZeroDivisionError: division by zero"
    assert fourth["metadata"] == {"cloister": {"restored": True, "not_kept": []}} and fourth["execution_count"] == 4
    assert fifth | {"id": ""} == {"cell_type": "code", "id": "", "metadata": {}, "execution_count": None, "source": ["x = 1\n", "x"], "outputs": []}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1280, "height": 800}, {"width": 320, "height": 640}], ids=["wide", "phone"])
def test_axe_finds_nothing_and_nothing_is_cut_off(open_notebook, size, scheme):
    notebook = open_notebook(viewport=size, color_scheme=scheme)
    notebook.run(1, "print('out' * 200)\nimport socket, sys\nprint('err', file=sys.stderr)\nopen('f' * 60, 'w').close()\nsocket.socket()", "Failed")
    notebook.run(2, TABLE)
    for number, (code, ends) in enumerate([(SHOWS, "Done"), (DIES, "Failed, restored"), ("def f(:", "Failed")], 3):
        notebook.add.click()
        notebook.run(number, code, ends)
    found = Axe().run(notebook.tab, options={"resultTypes": ["violations"]}).response["violations"]
    assert not found, [(rule["id"], node["html"], node["any"]) for rule in found for node in rule["nodes"]]
    assert notebook.tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    for place in [notebook.key, notebook.tab.get_by_role("button", name="Run cell 1"), notebook.interrupt, notebook.upload, notebook.add]:
        box = place.bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= size["width"], box


def test_everything_has_a_name_and_what_happens_is_announced(notebook):
    """By regions that were there before: what is put in place with its text is not read out."""
    for role, name in [
        ("textbox", "Key"), ("textbox", "Cell 1"), ("textbox", "Cell 2"), ("region", "Cell 1"), ("region", "Notebook"), ("region", "Files of the session"),
        ("button", "Run cell 1"), ("button", "Delete cell 1"), ("button", "Run all"), ("button", "Interrupt"), ("button", "New session"),
        ("button", "Export .ipynb"), ("button", "Add cell"), ("button", "Upload"), ("textbox", "Profile, of a new session"), ("link", "Script"),
    ]:
        expect(notebook.tab.get_by_role(role, name=name, exact=True)).to_have_count(1)
    expect(notebook.code(1)).to_have_accessible_description(
        "Shift Enter runs a cell and goes to the next, Ctrl Enter runs it. Tab indents; Esc, then Tab, leaves the editor.")
    expect(notebook.tab.get_by_role("status")).to_have_text("")
    expect(notebook.tab.get_by_role("alert")).to_have_text("")
    notebook.run(1, "1")
    expect(notebook.tab.get_by_role("status")).to_have_text("Cell 1: done")
    notebook.profile.fill("no-such")
    notebook.new.click()
    notebook.run(1, "1", "Refused")
    expect(notebook.output(1)).to_contain_text("no-such")


def test_every_file_of_it_comes_with_the_pages_policy(notebook, client):
    paths = sorted({request.url.removeprefix(notebook.url) for request in notebook.requests if not request.url.startswith("data:")})
    assert len(paths) == 15 and {"notebook", "page/notebook.js", "page/notebook.css"} <= set(paths), paths
    policy = client.http.get("/").headers["content-security-policy"]
    assert {client.http.get(f"/{path}").headers["content-security-policy"] for path in paths} == {policy}


def test_what_it_may_not_load_it_does_not(notebook):
    """An answer that names what is elsewhere has nothing loaded from there, which `check` of the visit holds."""
    far = "http://elsewhere.invalid/x.png"
    notebook.run(1, f"{SHOWS}\nshow({{'image/png': {far!r}}})\nshow({{'image/svg+xml': '<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"{far}\"/></svg>'}})")
    expect(notebook.output(1).locator("img")).to_have_count(3)
    expect(notebook.output(1).locator("pre.value")).to_have_text("<shown>")


def test_a_node_that_asks_for_a_key_has_it_asked_for(notebook):
    refused = {"error": {"code": "unauthorized", "message": "send a key", "ran": False}, "id": "0" * 32}
    notebook.tab.route("**/sessions", lambda route: route.fulfill(status=401, content_type="application/json", body=json.dumps(refused)))
    notebook.code(1).press("Control+Enter")
    expect(notebook.output(1)).to_contain_text("Unauthorized")
    expect(notebook.key).to_be_focused()
    notebook.tab.unroute("**/sessions")
    notebook.key.fill("the-key")
    notebook.run(1, "1")
    assert {request.all_headers().get("authorization") for request in notebook.requests[-3:]} == {"Bearer the-key"}


def test_a_node_that_does_not_answer_is_no_riddle(notebook):
    notebook.run(1, "x = 1")
    notebook.tab.route("**/execute", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>"))
    notebook.run(1, "x", "Refused")
    expect(notebook.output(1)).to_contain_text("No answer")
    notebook.tab.unroute("**/execute")
    notebook.run(1, "x")
    expect(notebook.output(1)).to_have_text("1")
