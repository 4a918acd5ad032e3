"""pillow: drawing, filters, and each format that it can write and read back."""

import io

from PIL import Image, ImageDraw, ImageFilter


def main():
    image = Image.new("RGB", (120, 80), "navy")
    draw = ImageDraw.Draw(image)
    draw.ellipse((10, 10, 90, 70), fill="orange")
    draw.text((20, 30), "text")
    image = image.filter(ImageFilter.GaussianBlur(2)).rotate(30).resize((60, 40))
    sizes = {}
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"):
        written = io.BytesIO()
        image.save(written, kind)
        sizes[kind] = Image.open(io.BytesIO(written.getvalue())).convert("RGB").size
    return sizes
