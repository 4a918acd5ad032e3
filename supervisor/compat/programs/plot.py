"""matplotlib draws a PNG with its Agg backend; pillow reads it back."""

import io

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
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    image = Image.open(io.BytesIO(drawn.getvalue()))
    return {"format": image.format, "size": image.size, "colours": len(set(image.convert("RGB").getdata())) > 20}
