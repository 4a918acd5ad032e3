"""scipy: an optimum, a sparse system, an integral, a transform, statistics."""

import numpy as np
from scipy import fft, integrate, optimize, sparse, stats
from scipy.sparse.linalg import spsolve


def main():
    lowest = optimize.minimize(optimize.rosen, [1.3, 0.7, 0.8])
    system = sparse.diags([1, -2, 1], [-1, 0, 1], shape=(50, 50), format="csc")
    solved = spsolve(system, np.ones(50))
    area, _ = integrate.quad(np.sin, 0, np.pi)
    spectrum = fft.fft(np.sin(np.linspace(0, 8 * np.pi, 64, endpoint=False)), workers=2)
    return {"lowest": [round(float(x), 2) for x in lowest.x], "solved": round(float(solved.sum()), 3),
            "area": round(area, 6), "peak": int(np.abs(spectrum[:32]).argmax()),
            "p": round(float(stats.ttest_ind([1, 2, 3, 4], [2, 3, 4, 6]).pvalue), 4)}
