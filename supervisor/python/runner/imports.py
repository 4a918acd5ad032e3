"""A module of somebody else's that is changed right after it has been imported."""


def found_and_then(name, path, change):
    """What a finder gives for a module that `change` is called with once it is there."""
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec(name, path)
    if spec is not None and spec.loader is not None:
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            change(module)

        spec.loader.exec_module = exec_module
    return spec
