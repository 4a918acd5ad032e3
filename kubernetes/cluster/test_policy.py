"""kubernetes.md: a change of the policy is in force in the pods that run; one with mistakes changes nothing, and is told."""

from installation import OVERLAYS

POLICY = OVERLAYS.parent / "base/policy.toml"
JOB = "def main():\n    return 1"


def test_a_change_of_the_policy_is_in_force_in_each_pod_and_nothing_is_lost(cloister, load, request):
    profile = f"of-{request.node.callspec.id}"
    before = lives(cloister)
    with load() as asked:
        change(cloister, f'{POLICY.read_text()}\n[profile.{profile}]\nextends = "default"\nmemory = "256MiB"\n')
        cloister.cluster.wait(lambda: all(cloister.execute(JOB, profile=profile, at=at)[0] == 200 for at in doors(cloister)), "the profile in all pods")
        change(cloister, POLICY.read_text())
        cloister.cluster.wait(lambda: all(cloister.execute(JOB, profile=profile, at=at)[0] == 400 for at in doors(cloister)), "no pod with it")
    assert not asked.lost, asked.kinds()
    assert lives(cloister) == before


def test_a_policy_with_mistakes_changes_nothing_and_is_told(cloister, load):
    before = lives(cloister)
    with load() as asked:
        change(cloister, "version = 1\n[profile.default]\nruntime = \"none\"\n")
        cloister.cluster.wait(lambda: all("refused" in cloister.ready(at).get("reload", {}) for at in doors(cloister)), "pods that tell it")
        change(cloister, POLICY.read_text())
        cloister.cluster.wait(lambda: all("reload" not in cloister.ready(at) for at in doors(cloister)), "pods that have nothing to tell")
    assert not asked.lost, asked.kinds()
    assert lives(cloister) == before


def change(cloister, text):
    cloister.apply(cloister.manifests(OVERLAYS / "privileged", policy=text))


def doors(cloister):
    """Where each pod is asked, whatever a Service says of it."""
    return [(pod["status"]["podIP"], 8080) for pod in cloister.pods()]


def lives(cloister):
    """The containers that run, which others in their place would not be."""
    return {each["containerID"] for pod in cloister.pods() for each in pod["status"]["containerStatuses"]}
