"""Scripts as people write them get what is right for them: warm, cold and in interpreters started ahead."""

import pytest

from cases_of import load, problems, request_of
from service import WARM

# Each file with its kind of script. What was right before the others were is in the first.
FILES = {
    "right": "what has always been right",
    "A": "the script is the main module",
    "B": "files of the request are imported",
    "C": "ends as Python ends",
    "D": "paths for the standard streams",
    "E": "hints for results that have no form in JSON",
    "F": "packages, programs and paths that are not there",
    "G": "mistakes against the contract",
    "H": "tracebacks",
    "I": "what is printed, whole",
    "K": "small facts of a Unix host",
    "L": "files that are left elsewhere",
    "N": "crashes and limits, told",
}
STARTED = """
[profile.started]
extends = "default"
warm = { imports = ["json"], parked = 2, children = "started" }
"""
CASES = [(name, case) for name in FILES for case in load(name) if "expect" in case]


@pytest.fixture(scope="module")
def services(start_for_module):
    return start_for_module(policy=STARTED)


# The profile `default` is warm or cold, as all of the suite is.
@pytest.mark.parametrize("profile", ["default", "started"] if WARM else ["default"])
@pytest.mark.parametrize("case", [pytest.param(case, id=f"{name}-{case['id']}") for name, case in CASES])
def test_what_people_write_gives_what_is_right(services, case, profile):
    request = {"profile": profile, **request_of(case)}
    response = services.client.http.post("/execute", json=request)
    wrong = problems(case["expect"], response.status_code, response.json())
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in load("packages")])
def test_so_do_scripts_with_packages_of_a_profile(scientific, case):
    response = scientific.client.http.post("/execute", json={"profile": "scientific", **request_of(case)})
    wrong = problems(case["expect"], response.status_code, response.json())
    assert not wrong, "\n".join(wrong)


def test_no_two_cases_have_one_name():
    names = [(name, case["id"]) for name, case in CASES]
    assert len(set(names)) == len(names)
