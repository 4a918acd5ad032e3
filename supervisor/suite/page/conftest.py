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

    def __init__(self, browser, url, options):
        self.url, self.problems, self.requests = f"{url}/", [], []
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE)
        self.context.on("request", lambda request: self.requests.append(request))
        self.context.on("console", lambda message: message.type in ("error", "warning") and self.problems.append(message.text))
        self.context.on("weberror", lambda error: self.problems.append(str(error.error)))
        self.tab = self.context.new_page()
        self.tab.goto(self.url)
        # The script is there once the page's program runs.
        expect(self.script).not_to_be_empty()

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


@pytest.fixture
def visit(browser, client):
    """Open the page in a browser without a past: `visit(url, **options)`, the options those of Playwright's contexts."""
    visits = []

    def visit(url=client.url, **options):
        visits.append(Visit(browser, url, options))
        return visits[-1]

    yield visit
    for one in visits:
        one.check()
        one.context.close()


@pytest.fixture
def page(visit):
    """The page of the shared service."""
    return visit()
