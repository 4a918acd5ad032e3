#!/usr/bin/env python3
"""Try packages that people ask for, as `cloister runtime try` does, and write what came of each into docs/runtimes.md.

Usage: tried.py PROGRAMS POLICY. The packages are resolved anew, built into a store of their own, and gone afterwards.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import policies

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/runtimes.md"
BEGIN, END = "<!-- made by make runtime-table -->\n", "<!-- as far as here -->\n"

# Packages, each with the module that scripts import.
PACKAGES = {
    "numpy": "numpy", "pandas": "pandas", "matplotlib": "matplotlib.pyplot", "scipy": "scipy.stats", "scikit-learn": "sklearn.ensemble", "statsmodels": "statsmodels.api",
    "seaborn": "seaborn", "sympy": "sympy", "networkx": "networkx", "polars": "polars", "pyarrow": "pyarrow", "duckdb": "duckdb", "numba": "numba",
    "lxml": "lxml.etree", "pillow": "PIL.Image", "cryptography": "cryptography.fernet", "openpyxl": "openpyxl", "requests": "requests", "httpx": "httpx", "pydantic": "pydantic",
}

RUNTIME = """
[runtime.tried]
base = "python"
packages = "tried.txt"
[profile.tried]
extends = "default"
runtime = "tried"
memory = "2GiB"
warm = false
"""


def main():
    programs, shipped = Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory(prefix="cloister-tried-", dir="/var/tmp") as directory:
        place = Path(directory)
        place.chmod(0o711)
        (place / "tried.txt").write_text("".join(f"{name}\n" for name in PACKAGES))
        policy = place / "policy.toml"
        text = Path(policies.of_own_tree(shipped, policy)).read_text()
        text, changed = re.subn(r"(?m)^runtimes = .*", f'runtimes = "{place}/store"', text)
        assert changed == 1, "the policy says nothing of a store"
        policies.write(policy, text + RUNTIME)

        def ask(word, *modules):
            command = [programs / "cloister", "runtime", word, "tried", *modules, "--policy", policy, "--json"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if done.returncode != 0:
                sys.exit(f"cloister: runtime {word}: {json.loads(done.stdout).get('error', done.stdout)}")
            return json.loads(done.stdout)

        ask("lock")
        [built] = ask("build")
        table = rows(built["has"], ask("try", *PACKAGES.values())["modules"])
    before, rest = DOCUMENT.read_text().split(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}{table}{END}{rest.split(END)[1]}")


def rows(has, modules):
    versions = {package["name"]: package["version"] for package in has["packages"]}
    modules = {module["name"]: module for module in modules}
    table = f"\nWith Python {has['python']}, on a machine of {os.cpu_count()} processors:\n\n| package | module | import | its memory | kept warm |\n|---|---|---|---|---|\n"
    for name, module in PACKAGES.items():
        came = modules[module]
        kept = "forked" if came["forked"] else f"started: {came['why']}"
        table += f"| {name} {versions[name]} | `{module}` | {came['milliseconds']:.0f} ms | {came['bytes'] / 2**20:.1f} MiB | {kept} |\n"
    return table + "\n"


if __name__ == "__main__":
    os.umask(0o022)
    main()
