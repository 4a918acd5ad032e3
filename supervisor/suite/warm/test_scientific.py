"""docs/warm-pool.md: numeric libraries are as good warm as they are cold, and what their imports wrote is nobody's."""

import re

import pytest

import scientific as numeric
from service import POLICY

MODULES = ["pandas", "matplotlib.pyplot", "scipy.stats", "sklearn.ensemble", "joblib", "pyarrow.parquet", "openpyxl"]


@pytest.fixture(scope="module")
def numerics(start_for_module):
    return start_for_module(policy=numeric.profile("ahead", warm=f"{{ imports = {MODULES}, parked = 1 }}") + numeric.profile("cold"))


@pytest.mark.parametrize("profile", ["ahead", "cold"])
def test_a_plot_is_drawn(numerics, profile):
    def main():
        import os
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots()
        axes.plot([1, 2, 3], [3, 1, 2], label="a line")
        axes.set_title("ünïcode $x^2$")
        axes.legend()
        figure.savefig("out/plot.png")
        return [sorted(os.listdir("/tmp")) if "MPLCONFIGDIR" in os.environ else [], open("out/plot.png", "rb").read(4).hex()]

    answer = numerics.client.execute(main, profile=profile)
    assert answer.result == [[], "89504e47"]
    assert [file["name"] for file in answer.files] == ["plot.png"]
    # Nothing of a cache that could not be kept, or of a directory that is missing.
    assert not re.search("(?i)cache|writable|warn", answer.stderr), answer.stderr


@pytest.mark.parametrize("profile", ["ahead", "cold"])
def test_joblib_is_parallel(numerics, profile):
    def look():
        import math
        import os
        import warnings

        warnings.simplefilter("error")
        import joblib
        from joblib import Parallel, delayed

        def main():
            import multiprocessing

            threads = Parallel(n_jobs=2, backend="threading")(delayed(math.sqrt)(n) for n in (4, 9))
            processes = Parallel(n_jobs=2)(delayed(os.getpid)() for _ in range(8))
            return {"sqrt": threads, "own": os.getpid() in processes, "mode": joblib._multiprocessing_helpers.mp is not None,
                    "cpus": joblib.cpu_count() <= 2, "lock": multiprocessing.Lock().acquire(timeout=1), "default": joblib.parallel.get_active_backend()[0].__class__.__name__}

    answer = numerics.client.execute(look, profile=profile)
    assert answer.result == {"sqrt": [2.0, 3.0], "own": False, "mode": True, "cpus": True, "lock": True, "default": "LokyBackend"}, answer
    assert "serial mode" not in answer.stderr


@pytest.mark.parametrize("profile", ["ahead", "cold"])
def test_models_are_fitted_by_as_many_as_there_are(numerics, profile):
    def main():
        import numpy
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import cross_val_score

        random = numpy.random.default_rng(0)
        samples = random.random((200, 4))
        scores = cross_val_score(RandomForestClassifier(n_estimators=10, n_jobs=-1, random_state=0), samples, samples[:, 0] > 0.5, cv=3, n_jobs=-1)
        return [len(scores), bool(scores.mean() > 0.9)]

    assert numerics.client.execute(main, profile=profile).result == [3, True]


@pytest.mark.parametrize("profile", ["ahead", "cold"])
def test_libraries_with_threads_are_found_by_their_paths(numerics, profile):
    """As threadpoolctl finds them, in its several versions: in the list of mappings, and as what the loader has loaded already."""

    def main():
        import ctypes
        import os
        import re

        import sklearn.linear_model  # noqa: F401
        from threadpoolctl import threadpool_info, threadpool_limits

        mapped = set(re.findall(r"/\S+lib(?:scipy_openblas|gomp)\S*\.so\S*", open("/proc/self/maps").read()))
        loaded = {path for path in mapped if ctypes.CDLL(path, mode=os.RTLD_NOLOAD)._handle}
        with threadpool_limits(1):
            limited = {pool["num_threads"] for pool in threadpool_info()}
        kinds = sorted({pool["internal_api"] for pool in threadpool_info()})
        return [mapped == loaded == {pool["filepath"] for pool in threadpool_info()}, sorted(limited), kinds]

    assert numerics.client.execute(main, profile=profile).result == [True, [1], ["openblas", "openmp"]]


@pytest.mark.parametrize("profile", ["ahead", "cold"])
def test_frames_of_all_kinds(numerics, profile):
    def main():
        import pandas
        import polars
        import pyarrow
        import pyarrow.parquet

        frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
        frame.to_excel("sheet.xlsx", index=False)
        frame.to_parquet("table.parquet")
        lazy = polars.scan_parquet("table.parquet").filter(polars.col("a") > 1).select("b").collect()
        return [int(pandas.read_excel("sheet.xlsx")["a"].sum()), pyarrow.parquet.read_table("table.parquet").num_rows, lazy["b"].to_list()]

    assert numerics.client.execute(main, profile=profile).result == [6, 3, ["y", "z"]]


@pytest.mark.parametrize("profile", ["ahead", "cold"])
def test_thread_pools_are_as_large_as_cpus_is_good_for(numerics, profile):
    def main():
        import os

        import numpy
        import sklearn.linear_model  # noqa: F401, which loads OpenMP
        from threadpoolctl import threadpool_info

        tasks = lambda: len(os.listdir("/proc/self/task"))
        before, matrix = tasks(), numpy.ones((600, 600))
        value = float((matrix @ matrix)[0, 0])
        return {"before": before, "value": value, "after": tasks(), "pools": sorted({pool["num_threads"] for pool in threadpool_info()})}

    told = numerics.client.execute(main, profile=profile).result
    assert told["value"] == 600.0
    if profile == "ahead":
        # None is started before it is of use.
        assert (told["before"], told["after"]) == (1, 2), told
    else:
        assert told["pools"] == [2], told


def test_what_starts_a_thread_that_a_fork_would_lose_is_refused_by_name(refused_start):
    said = refused_start(POLICY.read_text() + numeric.profile(warm='{ imports = ["polars"], parked = 1 }'))
    assert "import polars started threads" in said


def test_with_one_cpu_there_is_one_thread(execute):
    def main():
        import os

        import numpy

        matrix = numpy.ones((600, 600))
        return [float((matrix @ matrix)[0, 0]), len(os.listdir("/proc/self/task")), os.environ["OMP_NUM_THREADS"]]

    assert execute(main).result == [600.0, 1, "1"]
