"""Plain code, without a `main`: what its last expression gives is its result, as where code is typed in."""

from .captured import FILE_NAME
from .compiled import compile_source
from .encode import NotJson, encode_result
from .texts import clip, text_of

# The constant in whose place the keeper of the last value comes.
PLACE_OF_LAST = "\0the last value"


class LastValue:
    """The code of a script whose last statement, if it is an expression, gives its value away."""

    def __init__(self, script, name=FILE_NAME, flags=0):
        import ast

        compile_source(script, name, flags)  # what is wrong with it is said of it as it was written
        self.value, self.tree = None, ast.parse(script, name)
        last = self.tree.body[-1] if self.tree.body else None
        if isinstance(last, ast.Expr):
            keeper = ast.Attribute(ast.Constant(PLACE_OF_LAST), "keep", ast.Load())
            kept = ast.Call(keeper, [last.value], [])
            for node in (keeper.value, keeper, kept):
                ast.copy_location(node, last.value)
            last.value = kept
        self.code = self.with_keeper(compile(self.tree, name, "exec", flags, dont_inherit=True))

    def keep(self, value):
        self.value = value

    def with_keeper(self, code):
        return code.replace(co_consts=tuple(self if const == PLACE_OF_LAST else const for const in code.co_consts))


def plain_result(value, notes, nan=None):
    """The value, or as it is shown where code is typed in, for it need not be meant as a result."""
    try:
        encode_result(value, nan)
    except NotJson as error:
        notes.append(f"the value of the last expression is {error.what}, which has no form in JSON; the result is its repr()")
        return clip(text_of(Shown(value)))
    return value


class Shown:
    def __init__(self, value):
        self.value = value

    def __str__(self):
        return repr(self.value)
