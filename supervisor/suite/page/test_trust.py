"""What the page trusts: nothing that a script made, nobody but the node, and no place to keep a key but the tab."""

import json
import os
import subprocess

import httpx
import pytest
from playwright.sync_api import expect

from service import GATEWAY_ID, binary, free_port

MARKUP = "<img src=x onerror='window.ran = 1'><script>window.ran = 1</script>"


@pytest.fixture
def hostile(page):
    """A page whose policy may be tried: what the browser says of it is expected."""
    yield page
    page.problems.clear()


def test_what_a_script_makes_is_shown_as_text(page):
    def shown(script, place):
        page.run(f"import sys\nX = {MARKUP!r}\ndef main():\n    {script}")
        expect(place).to_contain_text(MARKUP)
        assert page.tab.evaluate("[document.querySelectorAll('#outcome :is(img, script)').length, 'ran' in window]") == [0, False]

    shown("print(X)", page.stdout)
    shown("print(X, file=sys.stderr)", page.stderr)
    shown("return X", page.result)
    shown("return {X: [X]}", page.result)
    shown("return [{X: X}]", page.result.locator("th"))
    shown("return [{X: X}]", page.result.locator("td"))
    shown("raise ValueError(X)", page.error)
    shown("raise ValueError(X)", page.tab.get_by_role("region", name="Traceback"))
    page.run(f"def main(): return '{MARKUP.replace(chr(39), '')}' +")
    expect(page.error).to_contain_text("Syntax error")
    assert page.tab.evaluate("[document.querySelectorAll('#outcome :is(img, script)').length, 'ran' in window]") == [0, False]


def test_a_files_name_and_type_are_no_markup(page):
    file = {"name": f"a/{MARKUP}", "size": 1, "media_type": 'image/png" onerror="window.ran = 1', "content_base64": "eA=="}
    usage = {"wall_ms": 1, "cpu_ms": 1, "memory_peak_bytes": 1}
    answer = {"id": MARKUP, "result": 1, "stdout": "", "stderr": "", "truncated": [], "usage": usage, "files": [file]}
    page.answering(status=200, content_type="application/json", body=json.dumps(answer))
    page.run()
    expect(page.files.locator("a")).to_have_text(file["name"])
    expect(page.id).to_contain_text(MARKUP)
    assert page.tab.evaluate("[document.querySelectorAll('#outcome :is(img, script)').length, 'ran' in window]") == [0, False]


@pytest.mark.parametrize(("directive", "attempt"), [
    ("require-trusted-types-for", "document.body.innerHTML = '<b>x</b>'"),
    ("require-trusted-types-for", "document.body.insertAdjacentHTML('beforeend', '<b>x</b>')"),
    ("require-trusted-types-for", "const image = new Image(); image.setAttribute('onerror', 'window.ran = 1'); image.src = 'data:,'"),
    ("require-trusted-types-for", "setTimeout('window.ran = 1')"),
    ("require-trusted-types-for", "const script = document.createElement('script'); script.append('window.ran = 1'); document.body.append(script)"),
    ("style-src-elem", "const style = document.createElement('style'); style.append('body { color: red }'); document.body.append(style)"),
    ("frame-src", "const frame = document.createElement('iframe'); frame.src = 'data:text/html,x'; document.body.append(frame)"),
    ("img-src", "new Image().src = 'http://elsewhere.invalid/image.png'"),
    ("connect-src", "fetch('http://elsewhere.invalid/').catch(() => 0)"),
    ("connect-src", "new WebSocket('ws://elsewhere.invalid/')"),
    ("form-action", "const form = document.createElement('form'); form.action = '/execute'; document.body.append(form); form.submit()"),
    ("base-uri", "const base = document.createElement('base'); base.href = 'http://elsewhere.invalid/'; document.head.append(base)"),
])
def test_the_policy_refuses_what_an_intruder_would_try(hostile, directive, attempt):
    hostile.tab.evaluate("""() => {
        window.refused = [];
        addEventListener("securitypolicyviolation", (event) => window.refused.push(event.effectiveDirective));
    }""")
    hostile.tab.evaluate(f"() => {{ try {{ {attempt} }} catch {{ /* Refused at once. */ }} }}")
    hostile.tab.wait_for_function("directive => window.refused.includes(directive)", arg=directive)
    assert hostile.tab.evaluate("['ran' in window, location.href]") == [False, hostile.url]
    # An attempt that the browser stopped may still be told of as a request.
    hostile.requests[:] = [request for request in hostile.requests if "elsewhere" not in request.url or not request.failure]


def test_nobody_can_frame_it(hostile, client):
    hostile.tab.route("**/framing", lambda route: route.fulfill(content_type="text/html", body=f"<iframe src='{client.url}/'></iframe>"))
    with hostile.tab.expect_console_message(lambda message: "frame-ancestors" in message.text):
        hostile.tab.goto(f"{client.url}/framing")


def test_every_file_comes_with_the_policy(client, page):
    paths = sorted({request.url.removeprefix(page.url) for request in page.requests if not request.url.startswith("data:")})
    assert len(paths) == 10, paths
    for path in paths:
        reply = client.http.get(f"/{path}")
        assert reply.status_code == 200
        policy = dict(part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";"))
        assert policy == {
            "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "data:", "connect-src": "'self'",
            "form-action": "'none'", "frame-ancestors": "'none'", "base-uri": "'none'", "require-trusted-types-for": "'script'",
            "trusted-types": "'none'",
        }
        wanted = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-opener-policy": "same-origin",
                  "cross-origin-resource-policy": "same-origin", "cache-control": "no-cache"}
        assert wanted.items() <= dict(reply.headers).items()
        again = client.http.get(f"/{path}", headers={"If-None-Match": reply.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert sum(len(client.http.get(f"/{path}").content) for path in paths) < 48_000


@pytest.fixture
def keyed(start_service, tmp_path_factory):
    """A service that asks for a key, and one that it knows."""
    directory = tmp_path_factory.mktemp("keys")
    os.chown(directory, 0, GATEWAY_ID)
    for parent in [directory, *directory.parents]:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    path = directory / "keys.toml"
    made = subprocess.run([binary("cloister"), "keys", "--keys", path, "new", "page"], check=True, capture_output=True, text=True)
    return start_service(gateway_options=["--keys", path]), made.stdout.strip()


def test_the_key_stays_in_the_tab(visit, keyed):
    service, key = keyed
    page = visit(service.client.url)
    page.run()
    expect(page.error).to_contain_text("Unauthorized")
    expect(page.key).to_be_focused()
    page.key.fill(key)
    page.run()
    expect(page.result).to_contain_text("4")
    for request in page.requests:
        is_job = request.url.endswith("/execute")
        assert request.all_headers().get("authorization") in ((f"Bearer {key}", None) if is_job else (None,))
        assert key not in request.url and key not in (request.post_data or "")
    assert page.requests[-1].all_headers()["authorization"] == f"Bearer {key}"
    kept = "[localStorage.length, document.cookie, location.href, (await indexedDB.databases()).length, (await caches.keys()).length]"
    assert page.tab.evaluate(f"(async () => {kept})()") == [0, "", page.url, 0, 0]
    assert page.context.cookies() == []
    expect(page.key).to_have_attribute("type", "password")
    page.tab.reload()
    expect(page.key).to_have_value(key)
    another = page.context.new_page()
    another.goto(page.url)
    expect(another.locator("#script")).not_to_be_empty()
    expect(another.locator("#key")).to_have_value("")


def test_a_key_that_cannot_be_one_is_no_riddle(page):
    page.key.fill("clé→")
    page.run()
    expect(page.status).to_have_text("No answer")


def test_without_the_page_there_is_nothing(start_service):
    service = start_service(gateway_options=["--no-page"])
    for path in ("/", "/page/app.js"):
        assert service.client.http.get(path).json()["error"]["code"] == "not_found"
