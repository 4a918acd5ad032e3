"""The policies that a checkout serves: the one that is given, showing the Python tree that was built (CLOISTER_RUNTIME)."""

import os
import sys
from pathlib import Path

# The tree that the shipped policy shows.
SHIPPED_TREE = "/var/lib/cloister/python"


def own_tree():
    return os.path.abspath(os.environ.get("CLOISTER_RUNTIME") or SHIPPED_TREE)


def of_own_tree(policy, place):
    """The policy to serve: with CLOISTER_RUNTIME, for which the tree was built, a copy that shows that tree."""
    tree = own_tree()
    if tree == SHIPPED_TREE or not os.path.exists(policy):
        return policy
    text = Path(policy).read_text()
    if f'"{tree}/' in text:
        return policy
    if f'"{SHIPPED_TREE}/' not in text:
        sys.exit(f"cloister: CLOISTER_RUNTIME is {tree}, and {policy} shows neither that nor {SHIPPED_TREE}: "
                 "name it in the runtime's mounts, or unset CLOISTER_RUNTIME")
    if set('"\\\n:') & set(tree):
        sys.exit(f"cloister: CLOISTER_RUNTIME is {tree!r}, which cannot be written into a policy: choose another path")
    write(place, text.replace(f'"{SHIPPED_TREE}/', f'"{tree}/'))
    print(f"cloister: serving the Python in {tree}, by a copy of {policy} that shows it", flush=True)
    return str(place)


def write(place, text):
    place.write_text(text)
    place.chmod(0o644)
