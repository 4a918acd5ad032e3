"""The parts of the runner as one text: in order, each name once, and what the program holds."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import FOLDER, LATE, PARTS, SESSIONS

ALL = PARTS + LATE + SESSIONS


def test_every_part_is_in_the_text_and_small():
    parts = {path.stem: path.read_text() for path in (FOLDER / "runner").glob("*.py")}
    assert set(parts) == {*ALL} and len(ALL) == len({*ALL})
    assert {name: text.count("\n") for name, text in parts.items() if text.count("\n") > 300} == {}
    assert all(ast.get_docstring(ast.parse(text)) for text in parts.values()), "each says what it is for"


def test_parts_import_from_those_in_front_of_them_alone():
    late, order = LATE + SESSIONS, PARTS[:-1] + LATE + SESSIONS + PARTS[-1:]
    for number, part in enumerate(order):
        for node in ast.walk(ast.parse((FOLDER / f"runner/{part}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                in_front = late if node.col_offset else [name for name in order[:number] if part in late or name not in late]
                assert node.module in in_front, f"{part} imports from {node.module}"
                assert not any(alias.asname for alias in node.names), f"{part}: a name is the same in all of them"


def test_no_part_takes_a_name_of_another():
    owners = {}
    for part in ALL:
        for node in ast.parse((FOLDER / f"runner/{part}.py").read_text()).body:
            names = [node.name] if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else []
            for target in getattr(node, "targets", ()):
                names += [name.id for name in ast.walk(target) if isinstance(name, ast.Name)]
            for name in names:
                assert owners.setdefault(name, part) == part, f"{name} is in {owners[name]} and in {part}"
    assert len(owners) > 40


def test_each_part_can_be_imported_by_itself():
    for part in ALL:
        command = [sys.executable, "-B", "-c", f"import runner.{part}"]
        done = subprocess.run(command, cwd=FOLDER, env={"PYTHONPATH": str(FOLDER)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_texts_need_nothing_beside_them(runner_text, sessions_text):
    late = next(ast.literal_eval(node.value) for node in ast.parse(runner_text).body if ast.unparse(node).startswith("LATE = "))
    [update] = ast.parse(sessions_text).body
    for text in (runner_text, *late.values(), *ast.literal_eval(update.value.args[0]).values()):
        for node in ast.walk(ast.parse(text)):
            assert not (isinstance(node, ast.ImportFrom) and node.level), ast.unparse(node)


def test_the_engine_holds_these_texts(runner_text, sessions_text):
    if not os.environ.get("CLOISTER_BIN"):
        pytest.skip("CLOISTER_BIN does not say where the programs are")
    program = (Path(os.environ["CLOISTER_BIN"]) / "cloister-engine").read_bytes()
    assert runner_text.encode() in program and sessions_text.encode() in program, "what is tested here is not what is run; build it again"
