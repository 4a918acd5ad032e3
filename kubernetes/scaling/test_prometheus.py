"""The queries of deploy.md, "Scaling on slots", as they stand there, asked of a real Prometheus that scrapes two real nodes.

KEDA asks Prometheus a query and compares its one value with a threshold; prometheus-adapter fills in a query for the
objects that it is asked about. Both are done here by hand, for neither can be run without a cluster.
"""

import json
import re
import subprocess
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from client import eventually
from service import Service, free_port
from test_metrics import PATIENT, held

DEPLOY = Path(__file__).resolve().parents[2] / "docs/deploy.md"
SLOTS, NODES = 5, 2


def documented(title):
    """The YAML of the section that says it."""
    section = DEPLOY.read_text().split("### Scaling on slots")[1].split("\n### ")[0]
    texts = [text for text in re.findall(r"```yaml\n(.*?)```", section, re.S) if title in text]
    return [each for text in texts for each in yaml.safe_load_all(text)]


@pytest.fixture(scope="module")
def nodes():
    started = []
    try:
        for _ in range(NODES):
            port = free_port()
            service = Service(policy=PATIENT, supervisor={"slots": SLOTS, "queue_wait": '"10min"'}, gateway_options=["--metrics", f"127.0.0.1:{port}"])
            started.append((service.start(), port))
        yield started
    finally:
        for service, _ in started:
            service.stop()


@pytest.fixture(scope="module")
def ask(nodes, tmp_path_factory):
    """Asks Prometheus, and gives each series that it answers with: its labels and its value."""
    directory, port = tmp_path_factory.mktemp("prometheus"), free_port()
    targets = [{"targets": [f"127.0.0.1:{metrics}"], "labels": {"namespace": "cloister", "pod": f"cloister-{number}"}}
               for number, (_, metrics) in enumerate(nodes)]
    configuration = {"global": {"scrape_interval": "2s"}, "scrape_configs": [{"job_name": "cloister", "static_configs": targets}]}
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    command = ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}"]
    log = open(directory / "log", "w")
    prometheus = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ask(query):
        assert prometheus.poll() is None, (directory / "log").read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}") as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            return []
        return [(each["metric"], float(each["value"][1])) for each in found]

    try:
        eventually(lambda: ask("count(cloister_slots)") == [({}, NODES)])
        yield ask
    finally:
        prometheus.terminate()
        prometheus.wait(60)
        log.close()


@pytest.fixture
def busy(nodes):
    """The first node has all its slots busy and one job that waits, the second one busy slot."""
    (first, _), (second, _) = nodes
    with held(first, SLOTS + 1), held(second, 1):
        eventually(lambda: (len(first.holding()), len(second.holding())) == (SLOTS, 1))
        yield
    eventually(lambda: not first.holding() and not second.holding())


def test_what_is_documented_for_keda_and_the_adapter_has_the_right_values(ask, busy):
    [scaled] = documented("ScaledObject")
    share, wait = [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]
    # As percent of one pod's slots: six of five are busy.
    eventually(lambda: ask(share) == [({}, pytest.approx(100 * (SLOTS + 1) / SLOTS))])
    # Whoever has begun got a slot at once. Where nobody has, it is a number no less.
    eventually(lambda: ask(wait) and 0 <= ask(wait)[0][1] < 0.5)

    rules, scaler = documented("metricsQuery")
    [rule] = rules["rules"]
    assert sorted(series["pod"] for series, _ in ask(rule["seriesQuery"])) == ["cloister-0", "cloister-1"]
    query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod").replace("<<.LabelMatchers>>", 'namespace="cloister",pod=~"cloister-0|cloister-1"')
    eventually(lambda: sorted((series["pod"], value) for series, value in ask(query)) == [("cloister-0", 1.0), ("cloister-1", pytest.approx(1 / SLOTS))])
    [metric] = scaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]


def test_the_wait_in_the_queue_is_seen(ask, nodes):
    [scaled] = documented("ScaledObject")
    wait = scaled["spec"]["triggers"][1]["metadata"]["query"]
    (first, _), _ = nodes
    before = sum(value for _, value in ask('sum(cloister_stage_duration_seconds_count{stage="queue"})'))
    with ThreadPoolExecutor(4 * SLOTS) as pool:
        # Each of the second round waits for one of the first.
        jobs = [pool.submit(first.client.execute, "import time\ndef main(): time.sleep(2)") for _ in range(4 * SLOTS)]
        assert [job.result().status for job in jobs] == [200] * len(jobs)
    eventually(lambda: ask('sum(cloister_stage_duration_seconds_count{stage="queue"})') == [({}, before + len(jobs))])
    threshold = float(scaled["spec"]["triggers"][1]["metadata"]["threshold"])
    eventually(lambda: ask(wait) and ask(wait)[0][1] > threshold)
