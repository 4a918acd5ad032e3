"""What is said of a source that the compiler refuses: what it is, where it is no Python, and what to send instead."""

import re
import sys

from .modules import NOT_AT_RUN_TIME
from .texts import LONGEST_NAME

INSTALL = re.compile(r"(python[\d.]* +-m +)?(pip[\d.]*|conda|mamba|uv|poetry|npm|apt|apt-get|brew) +(install|add|pip)\b")
# With what the compiler begins where it may not know syntax that later ones do.
OF_LATER_VERSIONS = ("invalid syntax", "f-string", "expected '('", "multiple exception types")
VERSION = ".".join(map(str, sys.version_info[:3]))


def lines_of(script):
    """The lines as the compiler counts them."""
    return re.split("\r\n|\r|\n", script)


def refused_source(error, script):
    """The fields of an error for what the compiler said: the line's text, and the reason where it is known."""
    line, lines = error.lineno, lines_of(script)
    if "null bytes" in (error.msg or ""):
        line = next((number for number, text in enumerate(lines, 1) if "\0" in text), None)
    text = (error.text or "").rstrip("\n")
    if not text and isinstance(line, int) and 0 < line <= len(lines):
        text = lines[line - 1]
    reason, hint = words_for(error, text, lines)
    fields = {"exception": type(error).__name__, "line": line, "column": error.offset, "text": text, "reason": reason}
    return {**fields, "hint": hint or of_the_compiler(error.msg or "")}


def of_the_compiler(message):
    """What is to be said of its words, where they do not say it themselves."""
    if message.startswith(("invalid character", "invalid non-printable character")):
        return "an editor or a chat put this character in place of a plain one: write quotes, dashes and spaces as on a keyboard"
    if message.startswith(OF_LATER_VERSIONS):
        return f"this is Python {VERSION}, which does not know the syntax of later versions"
    return f"so says the compiler of Python {VERSION} of this line"


def words_for(error, text, lines):
    message, stripped = error.msg or "", text.strip()
    if is_fence(stripped):
        return "markdown", "this line is a fence of Markdown: send the code between the fences alone"
    if "outside function" in message or "outside async function" in message:
        return outside_function(message)
    if INSTALL.match(stripped.lstrip("!%").strip()):
        return "shell_line", f"this line is for a shell: {NOT_AT_RUN_TIME}"
    at_start = isinstance(error.offset, int) and error.offset <= len(text) - len(text.lstrip()) + 1
    if stripped[:1] in ("!", "%", "?") and at_start:
        return "notebook_line", "this line is for a notebook (!command, %magic, ?help) and no Python: take it out"
    if stripped.endswith("?"):
        return "notebook_line", "a name with ? behind it asks a notebook for help and is no Python: take it out"
    if stripped.startswith((">>>", "... ")) or re.match(r"(In|Out) ?\[\d*\]:", stripped):
        return "prompt", "this line begins with the prompt of an interactive session (>>> or ...): send the code without prompts, and without what was printed"
    if "line continuation" in message and "\\n" in text and len([line for line in lines if line.strip()]) == 1:
        return "escaped_text", "the script's line ends came as the two characters \\ and n: it was escaped once more than JSON does"
    if isinstance(error, IndentationError) and message.startswith("unexpected indent") and is_indented(lines):
        return "indented", "all lines of the script are indented: take off what they share, as textwrap.dedent() does"
    if "null bytes" in message:
        return "null_bytes", "this line has a NUL (U+0000): take it out, or write \\0 in a string"
    fences = [number for number, line in enumerate(lines, 1) if is_fence(line.strip())]
    if fences and isinstance(error.lineno, int) and not fences[0] < error.lineno < fences[-1]:
        return "markdown", f"line {fences[0]} is a fence of Markdown: send the code between the fences alone"
    return None, None


def is_fence(line):
    return line.startswith("```") or re.fullmatch(r"~~~+ *\w*", line) is not None


def way_to_main(script):
    """How a script without a `main` comes to one, by what it does define."""
    import ast
    import difflib

    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    body = ast.parse(script).body
    functions = [node.name for node in body if isinstance(node, kinds)]
    near = [name for name in functions if difflib.get_close_matches("main", [name.lower()], 1, 0.7)]
    classes = [node.name for node in body if isinstance(node, ast.ClassDef) for item in node.body if isinstance(item, kinds) and item.name == "main"]
    if near:
        way = f"did you mean {near[0][:LONGEST_NAME]}()? It has to be called main"
    elif classes:
        way = f"main() is a method of {classes[0][:LONGEST_NAME]}: a function of the script's has to call it"
    elif functions:
        way = f"let `def main(...):` call {functions[-1][:LONGEST_NAME]}() and return what it gives"
    else:
        way = "put the code into `def main():` and return the result"
    return f'{way}; or send "entry": "program", which runs the script as python3 does and gives what it prints and its exit code'


def outside_function(message):
    if "'return'" in message:
        return "outside_function", "put the code into `def main():`, whose return value is the result"
    if "'await'" in message or "async" in message:
        return "outside_function", "await works in `async def`: make it `async def main():`, which is awaited"
    return "outside_function", "put the code into a function: the script needs `def main():`, whose return value is the result"


def is_indented(lines):
    code = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return bool(code) and code[0][0] in " \t" and all(line[0] in " \t" for line in code)
