"""Texts of a stranger's making: had whatever it takes, and of a bounded length."""

LONGEST_TEXT = 64 * 1024
LONGEST_NAME = 200

# What a type is called, and what it derives from, whatever its metaclass says.
type_name = type.__dict__["__name__"].__get__
type_module = type.__dict__["__module__"].__get__
type_line = type.__dict__["__mro__"].__get__


def a(noun):
    return ("an " if noun[:1].lower() in "aeiou" else "a ") + noun


def name_of(value):
    return type_name(type(value))[:LONGEST_NAME]


def text_of(value):
    try:
        return str(value)
    except BaseException:
        return f"({a(name_of(value))} whose text cannot be had)"


def clip(text):
    if len(text) <= LONGEST_TEXT:
        return text
    half = LONGEST_TEXT // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def encodable(text):
    """The text with what has no form in UTF-8 written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
