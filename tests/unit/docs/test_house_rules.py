"""The house's rules that no linter holds."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from undula import __version__
from undula.core.faults import POINTS

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
HOSTS = re.compile(
    r"--(?:extra-)?index-url|--find-links|pypi\.(?:org|python)|pythonhosted|registry\.npmjs"
    r"|(?:artifactory|nexus)[.-]\w+\.\w+/|npm\.pkg"
)
HOMES = re.compile(r"(?<![\w.])/(?:home|Users)/[a-z][\w-]*/|(?<![\w.])/root/")
BINARY = {".png", ".ico", ".h5", ".nxs", ".gz"}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_each_module_says_what_it_is(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert said is not None
    assert len(said.split()) >= 5, f"{path}: {said!r} says too little"


def passed_points() -> dict[str, list[str]]:
    """Name of each fault point to the places where the code passes it."""
    found: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            first = node.args[0]
            if name == "reached" and isinstance(first, ast.Constant):
                found.setdefault(first.value, []).append(f"{path.name}:{node.lineno}")
    return found


def test_every_fault_point_is_passed_by_the_code_and_listed() -> None:
    passed = set(passed_points())
    assert passed - POINTS == set(), "passed but not listed"
    assert POINTS - passed == set(), "listed but never passed"


def test_no_tracked_file_names_a_registry_or_somebodys_home() -> None:
    here = Path(__file__)
    guilty = []
    for path in tracked():
        if path == here:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if HOSTS.search(line) or HOMES.search(line):
                guilty.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert guilty == []


def test_pinned_requirements_hold_hashes_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert not re.search(r"^\s*(-i|--index|--extra-index|--find-links)", text, re.M)


def test_the_changelog_knows_the_current_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(__version__)}\b", text, re.M)


def test_the_glossary_explains_the_words_that_help_texts_use() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = {
        term.strip() for line in re.findall(r"^(.+)\n: ", text, re.M) for term in line.split(",")
    }
    assert {"scan", "run", "point", "journal", "acknowledged", "heartbeat", "adopt"} <= terms


def test_decision_records_are_numbered_without_gap_and_dated() -> None:
    records = sorted((ROOT / "docs/explanations/decisions").glob("[0-9]*.md"))
    numbers = [int(path.name[:4]) for path in records]
    assert numbers == list(range(1, len(numbers) + 1))
    for path in records:
        assert re.search(r"^\*\d{4}-\d\d-\d\d, ", path.read_text(encoding="utf-8"), re.M), path


def test_links_between_our_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
    assert broken == []


def test_modules_named_in_the_walk_exist() -> None:
    text = (ROOT / "docs" / "walk.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(undula(?:\.\w+)+)`", text))
    assert named
    for name in named:
        base = ROOT / "src" / name.replace(".", "/")
        attribute_of = base.parent.with_suffix(".py")
        assert base.is_dir() or base.with_suffix(".py").exists() or attribute_of.exists(), name


@pytest.mark.parametrize("page", ["pain-points.md", "pain-points-scans.md"])
def test_each_test_that_the_pain_points_name_is_there(page: str) -> None:
    text = (ROOT / "docs" / "explanations" / page).read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 10
    missing = [
        f"{path}::{name}"
        for path, name in named
        if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert not missing
