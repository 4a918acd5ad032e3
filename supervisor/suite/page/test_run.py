"""Scripts that are run from the page: what they return, print and leave, and how they fail."""

import base64
import json

import pytest
from playwright.sync_api import expect

from client import eventually
from service import HOLD

USAGE = {"wall_ms": 1234.5, "cpu_ms": 5.25, "memory_peak_bytes": 5 * 2**20}
ANSWER = {"id": "0" * 32, "result": None, "stdout": "", "stderr": "", "truncated": [], "usage": USAGE}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def answer(**fields):
    return {"status": 200, "content_type": "application/json", "body": json.dumps(ANSWER | fields)}


@pytest.mark.parametrize("keys", ["Control+Enter", "Meta+Enter"])
def test_keys_run_the_script_and_all_of_the_answer_is_shown(page, keys):
    page.script.fill("import sys\ndef main():\n    print('out')\n    print('err', file=sys.stderr)\n    return 2 + 2")
    page.script.press(keys)
    expect(page.status).to_have_text("Returned")
    expect(page.result).to_have_text("Result4")
    expect(page.stdout.locator("pre")).to_have_text("out\n", use_inner_text=False)
    expect(page.stderr.locator("pre")).to_have_text("err\n")
    expect(page.usage).to_contain_text("Time")
    expect(page.usage).to_contain_text("MiB")
    expect(page.id).to_have_text("Request " + page.requests[-1].response().headers["x-cloister-id"])


def test_the_button_runs_too_and_the_focus_stays_on_it(page):
    page.run_button.focus()
    page.run_button.press("Enter")
    expect(page.result).to_contain_text("4")
    page.wait()
    expect(page.run_button).to_be_focused()


def test_every_example_does_what_it_is_for(page, client):
    assert len(page.examples()) == 6
    for example in page.examples():
        page.pick(example)
        page.run()
        expect(page.status).to_have_text("Failed" if example == "an exception" else "Returned")
        if example.startswith("pandas"):
            expect(page.result.locator("th")).to_have_text(["city", "count", "sum", "mean"])
        if example.startswith("arguments"):
            expect(page.result).to_contain_text('"this one is a longer line": 6')
        if example.startswith("a plot"):
            expect(page.result).to_contain_text('"width": 480')
            told = client.http.post("/execute", json={"script": page.script.input_value()}).json()
            expect(page.files.locator("img")).to_have_count(len(told.get("files", [])))
        if example.startswith("output"):
            expect(page.stdout).to_contain_text("step 8 of 8")


def test_a_result_keeps_its_digits_its_order_and_its_characters(page):
    page.run("def main(): return {'10': 2**100, '2': 1.0, 'e': 1e300, 'é\\u2028': 'a\\n\"<b>\\\\', '': [None, True, [], {}], '__proto__': 'p'}")
    expect(page.status).to_have_text("Returned")
    text = page.result.locator("pre").inner_text()
    assert list(json.loads(text).items()) == [
        ("10", 2**100), ("2", 1.0), ("e", 1e300), ("é\u2028", 'a\n"<b>\\'), ("", [None, True, [], {}]), ("__proto__", "p")]
    assert f'"10": {2**100},' in text and '"2": 1.0,' in text and "é" in text


def test_arguments_reach_main_as_they_were_typed(page):
    page.tab.get_by_text("More: arguments").click()
    page.args.fill('[12345678901234567890123, 1.0, "x"]')
    page.kwargs.fill('{"last": {"b": 1, "a": 2}}')
    page.stdin.fill("first\nsecond\n")
    page.run("import sys\ndef main(*args, last): return [list(args), list(last), sys.stdin.read()]")
    expect(page.result).to_contain_text("12345678901234567890123, 1.0")
    assert json.loads(page.result.locator("pre").inner_text()) == [[12345678901234567890123, 1.0, "x"], ["b", "a"], "first\nsecond\n"]
    page.profile.fill("no-such-profile")
    page.timeout_ms.fill("500")
    page.run()
    expect(page.status).to_have_text("Refused")
    expect(page.error).to_contain_text("no-such-profile")
    page.profile.fill("")
    page.run("def main(*args, last):\n    while True: pass")
    expect(page.error).to_contain_text("Timeout")


def test_a_program_is_asked_for_with_its_arguments_and_its_end_is_shown(page):
    page.tab.get_by_text("More: arguments").click()
    page.entry.select_option("program")
    page.argv.fill('["--seed", "7"]')
    page.files_out.fill('["*.csv"]')
    page.answering(**answer(exit_code=3, stdout="done\n", notes=["a note <b>"], unfinished="thread 'Thread-1'",
                            files_left=[{"path": "a/big.bin", "size": 5 * 2**20}]))
    page.run("print('done')")
    expect(page.status).to_have_text("Exit code 3")
    expect(page.result).to_be_hidden()
    expect(page.notes.locator("li")).to_have_text(
        ["Did not end: thread 'Thread-1'", "a note <b>", "a/big.bin 5.0 MiB, left and not asked for"])
    assert json.loads(page.requests[-1].post_data) == {
        "script": "print('done')", "entry": "program", "argv": ["--seed", "7"], "files_out": ["*.csv"]}
    page.tab.unroute("**/execute")
    page.pick("2 + 2")
    expect(page.entry).to_have_value("")
    page.files_out.fill("")
    page.run()
    expect(page.status).to_have_text("Returned")
    expect(page.notes).to_be_hidden()


def test_a_file_that_was_too_large_is_named(page):
    page.answering(**answer(files=[{"name": "big.bin", "size": 5 * 2**20, "media_type": "application/octet-stream", "omitted": "too large"}]))
    page.run()
    expect(page.status).to_have_text("Returned")
    expect(page.files.locator("figcaption")).to_have_text("big.bin 5.0 MiB, not here: too large")


@pytest.mark.parametrize(("field", "text"), [("args", "{}"), ("argv", "[1]"), ("argv", '"a"'), ("files_out", "*.csv"), ("args", "[1,"), ("kwargs", "[]"), ("timeout_ms", "0"), ("timeout_ms", "soon")])
def test_a_field_that_is_wrong_is_said_beside_it_and_nothing_is_sent(page, field, text):
    page.tab.get_by_text("More: arguments").click()
    before = len(page.requests)
    element = getattr(page, field)
    element.fill(text)
    page.script.press("Control+Enter")
    expect(element).to_be_focused()
    expect(element).to_have_attribute("aria-invalid", "true")
    expect(getattr(page, f"{field}-note")).to_contain_text("xpected")
    assert len(page.requests) == before
    element.fill("")
    page.run()
    expect(element).to_have_attribute("aria-invalid", "false")


def test_a_list_of_records_is_a_table_and_json_too(page):
    page.run("def main(): return [{'name': 'a', 'n': 2**70}, {'name': None, 'more': 'x'}]")
    expect(page.result.locator("th")).to_have_text(["name", "n", "more"])
    expect(page.result.locator("td")).to_have_text(["a", str(2**70), "", "null", "", "x"])
    page.tab.get_by_text("As JSON").click()
    expect(page.result.locator("pre")).to_contain_text('{"name": "a", "n": 1180591620717411303424}')
    page.run("def main(): return [{'n': n} for n in range(1200)]")
    expect(page.result.locator("tbody tr")).to_have_count(500)
    expect(page.result).to_contain_text("The first 500 of 1200 rows.")
    page.run("def main(): return [{'n': [1]}]")
    expect(page.result.locator("pre")).to_be_visible()
    expect(page.result.locator("table")).to_have_count(0)


def test_a_failure_marks_its_line_and_each_frame_leads_to_its_own(page):
    page.pick("an exception")
    page.run()
    expect(page.error).to_contain_text("ZeroDivisionError: division by zero")
    expect(page.stdout).to_contain_text("sharing")
    marked = page.tab.locator(".line.bad")
    expect(marked).to_have_text("    return total / len(people)")
    expect(page.script).to_have_attribute("aria-invalid", "true")
    page.tab.get_by_role("button", name='File "script.py", line 8').click()
    expect(page.script).to_be_focused()
    assert caret(page) == page.script.input_value().index("    return share")
    page.tab.get_by_role("button", name='File "script.py", line 2').click()
    assert caret(page) == page.script.input_value().index("    return total")
    page.script.press("End")
    page.script.press("x")
    expect(marked).to_have_count(0)
    expect(page.script).to_have_attribute("aria-invalid", "false")


def test_a_syntax_error_leads_to_its_column(page):
    page.run("def main():\n    return 2 +* 2")
    expect(page.error).to_contain_text("Syntax error, line 2")
    expect(page.tab.locator(".line.bad")).to_have_text("    return 2 +* 2")
    page.tab.get_by_role("button", name="line 2").click()
    assert page.script.input_value()[caret(page)] == "*"


def test_what_the_policy_refused_is_told(page):
    page.run("import socket\ndef main(): socket.socket()")
    expect(page.error).to_contain_text("socket(AF_INET) by seccomp")


def test_a_line_far_down_is_brought_into_view(page):
    page.run("x = 1\n" * 300 + "def main(): raise ValueError('far')\n" + "y = 2\n" * 300)
    expect(page.tab.locator(".line.bad")).to_be_in_viewport()


def test_stop_ends_the_job(page, service):
    page.tab.get_by_text("More: arguments").click()
    page.args.fill("[60]")
    page.script.fill(HOLD)
    page.script.press("Control+Enter")
    eventually(service.holding, within=120)
    page.stop.click()
    expect(page.status).to_have_text("Stopped")
    eventually(lambda: not service.holding(), within=120)
    expect(page.run_button).to_be_focused()
    page.args.fill("")
    page.run("def main(): return 'again'")
    expect(page.result).to_contain_text('"again"')


def test_a_node_that_does_not_answer_is_no_riddle(page):
    page.tab.route("**/execute", lambda route: route.abort())
    page.run()
    expect(page.status).to_have_text("No answer")
    expect(page.error).to_contain_text("gave no answer")
    page.problems.clear()
    page.answering(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")
    page.run()
    expect(page.status).to_have_text("No answer")


def test_images_are_shown_and_other_files_can_be_saved(page):
    svg = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg' width='7' height='5'><script>top.ran = 1</script></svg>").decode()
    files = [("plot.png", "image/png", PIXEL), ("drawing.svg", "image/svg+xml", svg), ("page.html", "text/html", "PGI+aGk8L2I+"),
             ("odd'\"<b>.png", "image/x-odd", PIXEL)]
    page.answering(**answer(files=[{"name": name, "size": len(base64.b64decode(content)), "media_type": media_type, "content_base64": content}
                                   for name, media_type, content in files]))
    page.run()
    images = page.files.locator("img")
    expect(images).to_have_count(2)
    for image, size in zip(images.all(), [[1, 1], [7, 5]]):
        eventually(lambda: image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == size, within=120)
    assert not page.tab.evaluate("'ran' in window")
    expect(page.files.locator("a")).to_have_text([name for name, _, _ in files])
    with page.tab.expect_download() as download:
        page.files.get_by_text("page.html").click()
    assert download.value.suggested_filename == "page.html"
    assert open(download.value.path(), "rb").read() == b"<b>hi</b>"
    expect(page.usage).to_have_text("Time1.23 sCPU5.3 msMemory5.0 MiB")


def test_output_that_was_cut_off_is_said(page):
    page.answering(**answer(stdout="begin", truncated=["stdout", "stderr"]))
    page.run()
    expect(page.stdout).to_contain_text("this is the beginning")
    expect(page.stderr).to_contain_text("this is the beginning")


# In pieces that end where they should not, with what the standard allows: comments, two kinds of line ends, fields of no use here.
STREAM = (
    ": hello\n\nevent: stdout\ndata: {\"text\": \"one\\u00e9\\n\"}\n\nevent: stderr\r\ndata:{\"text\": \"oh\"}\r\n\r\n"
    "id: 7\nevent: stdout\ndata: {\"text\":\ndata: \"two é\"}\n\nevent: news\ndata: x\n\n"
)


def stream(page, pieces, end=""):
    """Have the node stream this: the pieces, then an end when `finish()` is called in the page."""
    page.tab.evaluate("""([pieces, end]) => {
        window.fetch = async () => new Response(new ReadableStream({
            start(controller) {
                for (const piece of pieces) controller.enqueue(Uint8Array.from(piece));
                window.finish = () => { if (end) controller.enqueue(new TextEncoder().encode(end)); controller.close(); };
            },
        }), { headers: { "Content-Type": "text/event-stream" } });
    }""", [[list(piece) for piece in pieces], end])


@pytest.mark.parametrize("length", [1, 7, 1000])
def test_output_is_shown_as_it_comes(page, length):
    data = STREAM.encode()
    stream(page, [data[at:at + length] for at in range(0, len(data), length)], f"event: result\ndata: {json.dumps(ANSWER | {'result': 5, 'stdout': 'all'})}\n\n")
    page.script.press("Control+Enter")
    expect(page.stdout.locator("pre")).to_have_text("oneé\ntwo é")
    expect(page.stderr.locator("pre")).to_have_text("oh")
    expect(page.status).to_have_text("Running…")
    page.tab.evaluate("finish()")
    expect(page.status).to_have_text("Returned")
    expect(page.result).to_contain_text("5")
    expect(page.stdout.locator("pre")).to_have_text("all")
    expect(page.stderr).to_be_hidden()


def test_a_script_that_still_runs_is_read_already(page, service):
    page.script.fill("def main():\n    print('begun')\n    while True: pass")
    page.script.press("Control+Enter")
    expect(page.stdout).to_contain_text("begun")
    expect(page.stop).to_be_visible()
    page.stop.click()
    expect(page.status).to_have_text("Stopped")
    expect(page.stdout).to_contain_text("begun")
    eventually(lambda: not service.job_processes())


def test_a_stream_may_end_in_an_error_or_break_off(page):
    refused = json.dumps({"id": "0" * 32, "error": {"code": "lost", "message": "went away", "ran": None}})
    stream(page, [b'event: stdout\ndata: {"text": "one"}\n\n'], f"event: error\ndata: {refused}\n\n")
    page.script.press("Control+Enter")
    expect(page.stdout).to_contain_text("one")
    page.tab.evaluate("finish()")
    expect(page.status).to_have_text("Lost")
    expect(page.error).to_contain_text("went away")
    stream(page, [b"event: result\ndata: {"])
    page.script.press("Control+Enter")
    page.tab.evaluate("finish()")
    expect(page.status).to_have_text("No answer")
    expect(page.error).to_contain_text("broke off")


def caret(page):
    return page.script.evaluate("area => area.selectionStart")
