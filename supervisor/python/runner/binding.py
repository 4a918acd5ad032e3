"""Where a script's top level binds `main`: as its code shows it, and statement by statement."""

import types

# A flag of a function's code, and of no class body's.
OPTIMIZED = 0x1


def is_main(const):
    return isinstance(const, types.CodeType) and const.co_name == "main" and const.co_flags & OPTIMIZED


def definitions(code, numbers):
    """The constants that `main` is made of where it is plainly defined, and whether it is bound in other ways too."""
    operations, index = code.co_code, code.co_names.index("main")
    if index > 255:
        return [], True
    bound, places, others = bytes((numbers["STORE_NAME"], index)), [], False
    at = operations.find(bound)
    while at >= 0:
        before = at - 2
        while before > 0 and operations[before] == numbers.get("SET_FUNCTION_ATTRIBUTE"):
            before -= 2
        made = before >= 2 and operations[before] == numbers["MAKE_FUNCTION"] and operations[before - 2] == numbers["LOAD_CONST"]
        place = operations[before - 1] if made else None
        wide = before >= 4 and operations[before - 4] == numbers["EXTENDED_ARG"]
        if at % 2:
            pass
        elif place is None or wide or not isinstance(code.co_consts[place], types.CodeType):
            others = True
        elif place not in places:
            places.append(place)
        at = operations.find(bound, at + 1)
    return places, others or not places


def pieces(script, whole, last):
    """The code of a top level, cut behind each statement that binds `main`, with whether it ends in one."""
    import __future__
    import ast

    flags = whole.co_flags & sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})
    piece, first = [], True
    tree = last.tree if last else ast.parse(script, whole.co_filename)
    for statement in [*tree.body, None]:
        binds = statement is not None and binds_main(ast, statement)
        if statement is not None:
            piece.append(statement)
        if piece and (binds or statement is None):
            if not first:
                piece.insert(0, ast.copy_location(ast.Pass(), piece[0]))  # what follows documents nothing
            code = compile(ast.Module(piece, []), whole.co_filename, "exec", flags, dont_inherit=True)
            yield last.with_keeper(code) if last else code, binds
            piece, first = [], False


def binds_main(ast, statement):
    for node in ast.walk(statement):
        if isinstance(node, ast.alias):
            if "main" in (node.asname or node.name.split(".")[0], "main" if node.name == "*" else None):
                return True
        elif getattr(node, "name", None) == "main" or isinstance(node, ast.Name) and node.id == "main" and isinstance(node.ctx, ast.Store):
            return True
    return False
