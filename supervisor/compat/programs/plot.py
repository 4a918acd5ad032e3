"""matplotlib draws a PNG with its Agg backend, into the directory that a sandbox returns; pillow reads it back."""

import os

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image


def main():
    figure, axes = plt.subplots(figsize=(4, 3), dpi=100)
    axes.plot(np.linspace(0, 6, 200), np.sin(np.linspace(0, 6, 200)), label="sin")
    axes.set_title(r"$\sin(x)$")
    axes.legend()
    os.makedirs("out", exist_ok=True)
    figure.savefig("out/plot.png")
    image = Image.open("out/plot.png")
    return {"format": image.format, "size": image.size, "colours": len(set(image.convert("RGB").getdata())) > 20}
