"""Holds the plan of the house: which room may name which, no circle of files, no file or function that grew too large.

Reads the product's Rust source by its grammar, as written: paths and `use`, `mod` and functions. What a macro makes is not
seen. The rooms of a crate, and files that stand beside them, are in ROOMS from the top down; what is in none is above all.
"""

import sys
from pathlib import Path

import tree_sitter_rust
from tree_sitter import Language, Parser, Query, QueryCursor

RUST = Language(tree_sitter_rust.language())
ROOT = Path(__file__).resolve().parents[2]

# A room names those below it, and what is in it; never one above.
ROOMS = {
    "supervisor/root/src": ["serve", "monitor", "begin", "host", "powers", "line", "library", "reader", "open_files", "devices", "needs", "claim", "confine", "args", "asked", "manager", "socket", "program", "id_map"],
    "supervisor/src": ["daemon", "door", "pool", "job", "link"],
    "gateway/src": ["serve", "privileges", "listen", "api", "admission", "usage", "keys", "upstream", "needs", "systemd", "going", "watch", "args", "metrics", "error"],
    "policy/src": ["text", "load", "packages", "check", "build", "read", "keys", "seccomp", "danger", "diagnostic", "units", "suggest"],
}
LONGEST_FILE, LONGEST_FUNCTION = 300, 60
# What is longer, and why.
LONGER = {}

NAMED = Query(RUST, "[(use_declaration argument: (_) @use) (scoped_identifier) @path (scoped_type_identifier) @path]")
FUNCTIONS = Query(RUST, "(function_item name: (identifier) @name) @function")


class Crate:
    """The files of a crate by their module paths, and which of them names which."""

    def __init__(self, source):
        self.source = source
        self.files = {self.module(path): path for path in sorted(source.rglob("*.rs")) if path.name != "tests.rs"}
        self.trees = {module: parse(path) for module, path in self.files.items()}
        self.arrows = {module: self.named(module) for module in self.files}

    def module(self, path):
        parts = path.relative_to(self.source).with_suffix("").parts
        # A program beside a library is a crate of its own, which nothing in the library can name.
        root = ("lib",) if (self.source / "lib.rs").exists() else ("main",)
        return () if parts == root else tuple(part for part in parts if part != "mod")

    def named(self, module):
        found = set()
        for path in paths(self.trees[module]):
            target = self.resolve(module, path)
            if target is not None and target != module:
                found.add(target)
        return found

    def resolve(self, module, path):
        """The module that a path leads into, if it is one of this crate's."""
        if path[0] == "crate":
            at, rest = (), path[1:]
        elif path[0] in ("self", "super"):
            at, rest = module, path
            while rest and rest[0] in ("self", "super"):
                at, rest = (at[:-1] if rest[0] == "super" else at), rest[1:]
        elif (*module, path[0]) in self.files:
            at, rest = module, path
        else:
            return None
        while rest and (*at, rest[0]) in self.files:
            at, rest = (*at, rest[0]), rest[1:]
        return at if at in self.files and (at or rest) else None

    def circles(self):
        """Sets of files each of which is reached from each (Tarjan's strongly connected components)."""
        index, low, stack, found = {}, {}, [], []

        def visit(module):
            index[module] = low[module] = len(index)
            stack.append(module)
            for other in self.arrows[module]:
                if other not in index:
                    visit(other)
                    low[module] = min(low[module], low[other])
                elif other in stack:
                    low[module] = min(low[module], index[other])
            if low[module] == index[module]:
                circle = []
                while not circle or circle[-1] != module:
                    circle.append(stack.pop())
                found.append(circle)

        for module in self.files:
            if module not in index:
                visit(module)
        return [circle for circle in found if len(circle) > 1]

    def upward(self, rooms):
        """Arrows from a room to one above it."""
        floor = lambda module: rooms.index(module[0]) if module and module[0] in rooms else -1
        return [(module, other) for module, others in self.arrows.items() for other in others if floor(other) < floor(module)]


def parse(path):
    return Parser(RUST).parse(path.read_bytes()).root_node


def is_test(node):
    """Whether a node lies in a module of tests."""
    while node is not None:
        before = node.prev_named_sibling
        while before is not None and before.type == "attribute_item":
            if b"cfg(test)" in before.text:
                return True
            before = before.prev_named_sibling
        node = node.parent
    return False


def paths(tree):
    """Every path that is written, as its parts; those of a `use` with braces one by one."""
    captures = QueryCursor(NAMED).captures(tree)
    for node in captures.get("use", []):
        if not is_test(node):
            yield from spread(node, ())
    for node in captures.get("path", []):
        # A longer path has its beginning in it, and a `use` its paths.
        if not is_test(node) and not node.parent.type.startswith(("scoped_", "use_")):
            yield tuple(part.strip() for part in node.text.decode().split("::"))


def spread(node, before):
    if node.type == "use_list":
        for each in node.named_children:
            yield from spread(each, before)
    elif node.type == "scoped_use_list":
        path = node.child_by_field_name("path")
        yield from spread(node.child_by_field_name("list"), (*before, *(path.text.decode().split("::") if path else ())))
    elif node.type == "use_as_clause":
        yield from spread(node.child_by_field_name("path"), before)
    elif node.type == "use_wildcard":
        yield from spread(node.named_children[0], before)
    elif node.type not in ("line_comment", "block_comment"):
        yield (*before, *node.text.decode().split("::"))


def sizes(crate):
    """What is longer than it may be."""
    for module, path in crate.files.items():
        name, lines = str(path.relative_to(ROOT)), len(path.read_text().splitlines())
        if lines > LONGEST_FILE and name not in LONGER:
            yield f"{name} has {lines} lines, more than {LONGEST_FILE}"
        for node in QueryCursor(FUNCTIONS).captures(crate.trees[module]).get("function", []):
            lines = node.end_point.row - node.start_point.row + 1
            function = f"{name}: {node.child_by_field_name('name').text.decode()}"
            if lines > LONGEST_FUNCTION and function not in LONGER and not is_test(node):
                yield f"{function} has {lines} lines, more than {LONGEST_FUNCTION}"


def faults():
    sources = [path.parent / "src" for path in sorted(ROOT.glob("**/Cargo.toml")) if "target" not in path.parts and "fuzz" not in path.parts]
    for source in sources:
        if not source.is_dir():
            continue
        crate, name = Crate(source), str(source.relative_to(ROOT))
        told = lambda module: str(crate.files[module].relative_to(ROOT))
        for circle in crate.circles():
            yield "files that name each other in a circle: " + ", ".join(sorted(map(told, circle)))
        for module, other in crate.upward(ROOMS.get(name, [])):
            yield f"{told(module)} names {told(other)}, which lies in a room above it"
        yield from sizes(crate)


if __name__ == "__main__":
    found = sorted(faults())
    if found:
        sys.exit("the plan of the house (docs/architecture.md) is not kept:\n  " + "\n  ".join(found))
