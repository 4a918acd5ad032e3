// Scripts to begin with.

export const EXAMPLES = [
  {
    name: "2 + 2",
    script: `def main():
    print("adding")
    return 2 + 2
`,
  },
  {
    name: "pandas: a table",
    script: `import pandas as pd

SALES = pd.DataFrame({
    "city": ["Lyon", "Turin", "Lyon", "Ghent", "Turin", "Lyon"],
    "month": [1, 1, 2, 2, 3, 3],
    "sold": [120, 75, 98, 143, 81, 130],
})


def main():
    sold = SALES.groupby("city")["sold"]
    cities = sold.agg(["count", "sum", "mean"]).reset_index()
    best = cities.sort_values("sum", ascending=False)
    return best.to_dict("records")
`,
  },
  {
    name: "arguments and stdin",
    script: `import sys


def main(least, *, unit="words"):
    """args, kwargs and stdin are under "More", below."""
    lines = sys.stdin.read().splitlines()
    counts = {line: len(line.split()) for line in lines}
    print(f"{len(lines)} lines, those of {least} {unit} or more:")
    return {line: n for line, n in counts.items() if n >= least}
`,
    args: "[4]",
    kwargs: '{"unit": "words"}',
    stdin: "a short line\nthis one is a longer line\nand here is another one\n",
  },
  {
    name: "an exception",
    script: `def share(total, people):
    return total / len(people)


def main():
    print("sharing")
    guests = []
    return share(100, guests)
`,
  },
  {
    name: "a plot, as a PNG",
    script: `import struct
import zlib
from pathlib import Path

import numpy as np


def png(pixels):
    """Rows of red, green and blue, written without a library."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\\0" + row.tobytes() for row in pixels)
    size = struct.pack(">II", width, height)
    chunks = {
        b"IHDR": size + bytes([8, 2, 0, 0, 0]),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    image = b"\\x89PNG\\r\\n\\x1a\\n"
    for kind, data in chunks.items():
        end = struct.pack(">I", zlib.crc32(kind + data))
        image += struct.pack(">I", len(data)) + kind + data + end
    return image


def main():
    """Files left in out/ come back with the answer."""
    y, x = np.mgrid[-1.2:1.2:320j, -2.1:0.8:480j]
    c = x + 1j * y
    z, steps = np.zeros_like(c), np.zeros(c.shape)
    for _ in range(60):
        inside = abs(z) < 4
        z[inside] = z[inside] ** 2 + c[inside]
        steps += inside
    shade = steps / steps.max()
    colours = np.stack([shade ** 2, shade, shade ** 0.4], axis=2)
    Path("out").mkdir(exist_ok=True)
    Path("out/mandelbrot.png").write_bytes(png((colours * 255).astype("uint8")))
    return {"width": c.shape[1], "height": c.shape[0]}
`,
  },
  {
    name: "output that comes slowly",
    script: `import time


def main():
    for step in range(1, 9):
        print("step", step, "of 8", flush=True)
        time.sleep(0.25)
    return "done"
`,
  },
];
