"""What a value offers to be shown as, by media type, as notebooks have it; and `display`, which shows it at once.

Every method that is asked is a stranger's: one that fails, or gives something else than it should, offers nothing.
"""

from .captured import os_write
from .encode import dump
from .telling import speaks, tell
from .texts import clip, encodable, name_of

PLAIN = "text/plain"
MOST_TYPES, LONGEST_TYPE = 32, 100

OFFERS = {
    "_repr_html_": "text/html", "_repr_markdown_": "text/markdown", "_repr_svg_": "image/svg+xml", "_repr_png_": "image/png",
    "_repr_jpeg_": "image/jpeg", "_repr_pdf_": "application/pdf", "_repr_latex_": "text/latex", "_repr_json_": "application/json",
    "_repr_javascript_": "application/javascript",
}

# What a frame of a bundle may hold, of the cell that runs.
bundle_bytes = [1 << 20]

# What gives the picture of a figure, and nothing of anything else.
drawn = []

# How many of them are shown, and bytes of all together as those of one; what is beyond is told once, by one more.
MOST_SHOWN = 1000
shown = [0, 0]


def begin_to_show(limit):
    bundle_bytes[0], shown[:] = limit, (0, 0)


def display(*objects, include=None, exclude=None, raw=False, **others):
    """Show each of them now, as what it offers: HTML, pictures, anything with `_repr_*_` methods. With `raw`, bundles as they are."""
    for value in objects:
        bundle = checked_bundle(value) if raw and isinstance(value, dict) else bundle_of(value, include, exclude)
        if speaks():
            show_bundle(b"M", bundle)
        else:
            # A process that the session has forked has its output alone.
            os_write(1, bundle.get(PLAIN, "").encode("utf-8", "backslashreplace") + b"\n")


def show_bundle(tag, bundle):
    encoded = encode_bundle(bundle, bundle_bytes[0])
    if tag == b"M":
        if shown[0] > MOST_SHOWN or shown[1] > bundle_bytes[0]:
            return
        shown[0], shown[1] = shown[0] + 1, shown[1] + len(encoded)
    tell(tag, encoded)


def bundle_of(value, include=None, exclude=None):
    """The media types that a value offers, each with text; its repr() is always among them."""
    bundle = {PLAIN: shown_text(value)}
    bundle.update(checked_bundle(offered_bundle(value, include, exclude)))
    for method, kind in OFFERS.items():
        if kind not in bundle:
            bundle.update(checked_bundle({kind: offered(value, method)}))
    picture = figure_of(value)
    if picture is not None:
        bundle["image/png"] = picture
    if include or exclude:
        bundle = {kind: text for kind, text in bundle.items() if kind == PLAIN or (not include or kind in include) and kind not in (exclude or ())}
    return bundle


def shown_text(value):
    """Its repr(), bounded, whatever that does; an interrupt alone is raised."""
    try:
        return encodable(clip("".join((repr(value),))))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"<{name_of(value)}, whose repr() fails: {name_of(error)}>"


def offered(value, method, **arguments):
    """What a method gives, if there is one: of its class, for a class that is shown itself has those of its instances."""
    try:
        if getattr(type(value), method, None) is None:
            return None
        return getattr(value, method)(**arguments)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return None


def offered_bundle(value, include, exclude):
    given = offered(value, "_repr_mimebundle_", include=include, exclude=exclude)
    return given[0] if isinstance(given, tuple) and given else given


def checked_bundle(given):
    """What is text of a media type's, or becomes it, in an offered dictionary."""
    bundle = {}
    try:
        for kind, content in [*dict.items(given)][:MOST_TYPES] if isinstance(given, dict) else ():
            text = text_offered(content) if is_type(kind) else None
            if text is not None:
                bundle[kind] = text
    except KeyboardInterrupt:
        raise
    except BaseException:
        pass
    return bundle


def is_type(kind):
    return type(kind) is str and 0 < len(kind) <= LONGEST_TYPE and kind.isascii() and kind.isprintable()


def text_offered(content):
    """Text as it is, bytes as base64, data as JSON; of what comes with metadata the content alone."""
    if isinstance(content, tuple) and len(content) == 2:
        content = content[0]
    if content is None:
        return None
    if isinstance(content, (bytes, bytearray, memoryview)):
        import binascii

        return binascii.b2a_base64(content, newline=False).decode()
    if isinstance(content, str):
        return encodable("".join((content,)))
    try:
        return encodable(dump(content).decode())
    except (TypeError, ValueError, RecursionError, OverflowError):
        return None


def figure_of(value):
    """The picture of what is drawn by a library that asks no object for it, as base64."""
    return next(filter(None, (draw(value) for draw in drawn)), None)


def encode_bundle(bundle, limit):
    """As JSON within the limit: the largest types are left out, but for the text, of which the beginning is kept."""
    parts = {kind: dump(kind) + b":" + dump(text) for kind, text in [*bundle.items()][:MOST_TYPES]}
    if PLAIN in bundle and PLAIN not in parts:
        parts[PLAIN] = dump(PLAIN) + b":" + dump(bundle[PLAIN])
        parts.pop(next(kind for kind in parts if kind != PLAIN))
    while parts and sum(map(len, parts.values())) + len(parts) + 1 > limit:
        others = [kind for kind in parts if kind != PLAIN]
        if others:
            parts.pop(max(others, key=lambda kind: len(parts[kind])))
        else:
            parts[PLAIN] = dump(PLAIN) + b":" + cut_text(bundle[PLAIN], limit - len(PLAIN) - 8)
            break
    return b"{" + b",".join(parts.values()) + b"}"


def cut_text(text, limit):
    """A text as JSON of so many bytes at most."""
    encoded = dump(text)
    while len(encoded) > max(limit, 2):
        text = text[: len(text) * max(limit, 1) // len(encoded) if limit > 16 else 0][:-1]
        encoded = dump(text)
    return encoded
