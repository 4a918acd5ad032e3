"""docs/runtimes.md, "From a wish to an answer" and "Changing a runtime": lock, build, reload, and nobody notices."""

import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx

from client import eventually
from wheels import wheel

GREET = 'import greeting\ndef main():\n    return greeting.said'


def greeting(place, version, said):
    wheel(place.wheels, "greeting", version, {"greeting/__init__.py": f"said = {said!r}\n"})


def prepare(place):
    greeting(place, "1.0", "hello")
    place.want("polite", "greeting")
    place.run("lock", "polite")
    place.run("build", "polite")


def ready(service):
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(service.socket)), base_url="http://supervisor") as http:
        return http.get("/readyz").json()


def test_a_new_lock_is_in_force_after_a_reload_and_no_request_is_lost(serve):
    warm = '\n[profile.kept]\nextends = "polite"\nwarm = { imports = ["greeting"], parked = 2 }\n'
    service, place = serve("polite", prepare=prepare, more=warm)
    profiles = ["polite", "kept"]
    assert [service.client.execute(GREET, profile=name).result for name in profiles] == ["hello", "hello"]
    before = ready(service)["policy"]
    done, seen = threading.Event(), []

    def ask(number):
        while not done.is_set():
            answer = service.client.execute(GREET, profile=profiles[number % 2])
            assert answer.status == 200, answer
            seen.append(answer.result)

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, number) for number in range(4)]
        try:
            greeting(place, "2.0", "good day")
            # A lock without its build is refused, and what was in force stays.
            assert "greeting 1.0 -> 2.0" in place.run("lock", "polite", "--upgrade")
            service.supervisor.send_signal(signal.SIGHUP)
            eventually(lambda: "reload" in ready(service))
            assert ready(service)["policy"] == before and "cloister runtime build polite" in service.log("supervisor")
            place.run("build", "polite")
            service.supervisor.send_signal(signal.SIGHUP)
            eventually(lambda: ready(service)["policy"] != before and "reload" not in ready(service), within=120)
            at = len(seen)
            eventually(lambda: {"good day"} == set(seen[-8:]) and len(seen) > at + 8)
        finally:
            done.set()
        for each in asking:
            each.result()
    assert set(seen) == {"hello", "good day"}
    # The build before is used by nobody any more, and that of now by the policy and by what runs.
    told = eventually(lambda: (said := place.told("gc", "--dry-run"))["builds"] and said)
    assert len(told["builds"]) == 1 and told["kept"] == 1 and len(place.builds()) == 2
    assert [build["id"] for build in place.told("gc")["builds"]] == [build["id"] for build in told["builds"]]
    assert len(place.builds()) == 1 and service.client.execute(GREET, profile="kept").result == "good day"


def test_what_runs_is_kept_though_the_policy_is_another(serve):
    service, place = serve("polite", prepare=prepare)
    [build] = place.builds()
    [listed] = place.told("list")["builds"]
    assert listed["id"] == build and listed["runtimes"] == ["polite"] and listed["processes"] > 0
    place.policy.with_name("other.toml").write_text(place.policy.read_text())
    place.lock_of("polite").unlink()
    assert place.told("gc")["kept"] == 1 and place.builds() == [build]
    assert service.client.execute(GREET, profile="polite").result == "hello"


def test_what_was_tried_is_told_with_how_it_can_be_kept_warm(place):
    place.write_policy("mixed")
    wheel(place.wheels, "mixed", "1.0", {
        "plain.py": "x = 1\n",
        "threaded.py": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n",
        "connected.py": "import socket\nkept = socket.socketpair()\n",
        "broken.py": "import nothing_of_the_kind\n",
    })
    place.want("mixed", "mixed==1.0")
    assert place.told("lock", "mixed")[0]["packages"] == [{"name": "mixed", "version": "1.0"}]
    [told] = place.told("build", "mixed")
    modules = {module["name"]: module for module in told["has"]["modules"]}
    assert [name for name, module in modules.items() if module["forked"]] == ["plain"]
    assert "started threads" in modules["threaded"]["why"] and "socket" in modules["connected"]["why"]
    assert "cannot be imported: ModuleNotFoundError" in modules["broken"]["why"]
    assert all(module["milliseconds"] > 0 for name, module in modules.items() if name != "broken")
    [again] = place.told("build", "mixed")
    assert (again["new"], again["build"]) == (False, told["build"])
    assert "threaded" in place.run("try", "mixed")
    manifest = json.loads((place.store / told["build"] / "runtime.json").read_text())
    assert {module["name"] for module in manifest["modules"]} == set(modules)
    named = place.told("try", "mixed", "email.mime.text", "threaded")["modules"]
    assert [(module["name"], module["forked"]) for module in named] == [("email.mime.text", True), ("threaded", False)]
    assert json.loads((place.store / told["build"] / "runtime.json").read_text()) == manifest


def test_projects_and_scripts_say_what_they_need_too(place):
    greeting(place, "1.0", "hello")
    more = ""
    for name, file, text in [
        ("project", "pyproject.toml", '[project]\nname = "a"\nversion = "1"\ndependencies = ["greeting>=1"]\n'),
        ("script", "report.py", '# /// script\n# dependencies = ["greeting"]\n# ///\nimport greeting\n'),
    ]:
        (place.directory / file).write_text(text)
        more += f'\n[runtime.{name}]\nbase = "python"\npackages = "{file}"\n'
    place.write_policy(more=more)
    assert [lock["packages"] for lock in place.told("lock")] == [[{"name": "greeting", "version": "1.0"}]] * 2
