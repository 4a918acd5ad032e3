"""kubernetes.md: the chart is the same once more. The last file: it takes away what the overlay made."""

import pytest

from installation import OVERLAYS

chart = pytest.importorskip("helm_python.chart")


def test_the_chart_changes_no_pod_of_the_overlay_and_runs_without_it(cloister):
    file = cloister.directory / "chart.yaml"
    with chart.Chart.load(OVERLAYS.parent / "chart") as loaded:
        file.write_text("\n---\n".join(loaded.render(values={"context": "privileged"}, name="cloister", namespace="cloister").values()))
    cloister.apply(cloister.manifests(OVERLAYS / "privileged"))
    cloister.wait_until_rolled()
    before = cloister.deployment()["metadata"]["generation"]
    cloister.apply(cloister.manifests(file))
    assert cloister.deployment()["metadata"]["generation"] == before
    cloister.kubectl("delete", "--filename=-", "--wait=true", given=cloister.manifests(file))
    cloister.cluster.wait(lambda: not cloister.pods(), "no pod that is left")
    cloister.apply(cloister.manifests(file))
    cloister.wait_until_rolled()
    assert cloister.execute("def main():\n    return 2 + 2")[1]["result"] == 4
