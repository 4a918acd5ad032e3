"""concurrent.futures: threads and processes, results as they come, and an exception that travels."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed


def divide(number):
    return 12 // number


def main():
    results = {}
    for kind in (ThreadPoolExecutor, ProcessPoolExecutor):
        with kind(max_workers=2) as pool:
            futures = {pool.submit(divide, number): number for number in (0, 1, 2, 3)}
            results[kind.__name__] = sorted((futures[done], repr(done.exception()) if done.exception() else done.result())
                                            for done in as_completed(futures))
    return results
