"""kubernetes.md: pods of the overlay `privileged` run jobs, which are asked for through the Service."""


def test_a_job_runs_through_the_service(cloister):
    status, answer = cloister.execute("def main():\n    return 2 + 2")
    assert status == 200 and answer["result"] == 4, answer
