"""A real Chromium without a window, at the page that the gateway serves."""

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

# For a page that is broken, not for a machine that is busy.
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    if not program:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        # Chromium's own sandbox cannot be had as root; what runs here is this page alone.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()


class Visit:
    """A tab at the page of a service, with what it complained of and what it asked for."""

    path = ""

    def __init__(self, browser, url, options):
        self.url, self.problems, self.requests = f"{url}/", [], []
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE)
        self.context.on("request", lambda request: self.requests.append(request))
        self.context.on("console", lambda message: message.type in ("error", "warning") and self.problems.append(message.text))
        self.context.on("weberror", lambda error: self.problems.append(str(error.error)))
        self.tab = self.context.new_page()
        self.tab.goto(self.url + self.path)
        # It is there once the page's program runs.
        expect(self.tab.locator("textarea").first).not_to_be_empty()

    def __getattr__(self, id):
        """An element by its id, which is part of what the page's own parts agree on."""
        return self.tab.locator(f"#{id}")

    def run(self, script=None):
        """Run what is in the editor, or this, by the keys that people expect; wait for the answer."""
        if script is not None:
            self.script.fill(script)
        self.script.press("Control+Enter")
        self.wait()

    def wait(self):
        expect(self.status).not_to_have_text("Running…")
        expect(self.run_button).to_be_visible()

    @property
    def run_button(self):
        return self.tab.locator("#run")

    def pick(self, example):
        self.example.select_option(label=example)

    def examples(self):
        return self.tab.locator("#example option:not([value=''])").all_inner_texts()

    def answering(self, **response):
        """Have the node's answers to jobs replaced on their way."""
        self.tab.route("**/execute", lambda route: route.fulfill(**response))

    def check(self):
        """What holds of each visit: no complaint, and no request but to the node itself."""
        # A browser says of each answer that is an error that it is one.
        problems = [problem for problem in self.problems if not problem.startswith("Failed to load resource: the server responded")]
        assert not problems, problems
        strays = [url for url in (request.url for request in self.requests) if not url.startswith((self.url, "data:"))]
        assert not strays, strays


class Notebook(Visit):
    """The same at the notebook."""

    path = "notebook"

    def cell(self, number):
        return self.tab.get_by_role("region", name=f"Cell {number}", exact=True)

    def code(self, number):
        return self.tab.get_by_role("textbox", name=f"Cell {number}", exact=True)

    def output(self, number):
        return self.tab.get_by_role("group", name=f"Output of cell {number}", exact=True)

    def state(self, number):
        return self.cell(number).locator(".state")

    def run(self, number, code, ends="Done"):
        """Run this in a cell and wait for how it ends."""
        self.code(number).fill(code)
        self.code(number).press("Control+Enter")
        expect(self.state(number)).to_have_text(ends)
        # The files are listed behind it.
        expect(self.interrupt).to_have_attribute("aria-disabled", "true")


@pytest.fixture
def visit(browser, client):
    """Open the page in a browser without a past: `visit(url, **options)`, the options those of Playwright's contexts."""
    visits = []

    def visit(url=client.url, kind=Visit, **options):
        visits.append(kind(browser, url, options))
        return visits[-1]

    yield visit
    for one in visits:
        one.check()
        one.context.close()


@pytest.fixture
def page(visit):
    """The page of the shared service."""
    return visit()


@pytest.fixture
def open_notebook(visit, client):
    """Open the notebook; sessions that are left behind the test are closed."""
    yield lambda **options: visit(kind=Notebook, **options)
    for session in client.http.get("/sessions").json()["sessions"]:
        client.http.delete(f"/sessions/{session['session']}")


@pytest.fixture
def notebook(open_notebook):
    """The notebook of the shared service."""
    return open_notebook()
