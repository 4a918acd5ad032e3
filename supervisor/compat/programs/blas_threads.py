"""Matrices multiplied by threads of OpenBLAS and by Python's own at once; the shape of the result of each."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

IN_A_NEW_INTERPRETER = "import numpy as np; a = np.ones((400, 400)); print((a @ a)[0, 0])"


def multiply(seed):
    matrix = np.random.default_rng(seed).random((300, 300))
    return bool(np.allclose(np.linalg.solve(matrix, matrix @ matrix), matrix))


def main():
    with ThreadPoolExecutor(4) as pool:
        right = list(pool.map(multiply, range(8)))
    environment = {"OPENBLAS_NUM_THREADS": "4"}
    alone = subprocess.check_output([sys.executable, "-c", IN_A_NEW_INTERPRETER], env=environment, text=True)
    return {"right": right, "alone": alone}
