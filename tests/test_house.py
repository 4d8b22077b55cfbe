"""The house itself: imports run one way, the map is the tree, what is installed is what is required."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "loopanimate"
# each may import what stands in the rows above it and in its own; `words` reads with the sentence encoder of `network`
FLOORS = (
    {"presets", "metrics", "memory", "compiled", "options", "settings", "effects.names"},
    {"words.vocabulary", "words.kinds", "words.parse", "words.wordnet", "words.intent"},
    {"effects"},
    {"motion"},
    {"network"},
    {"words"},
    {"scene"},
    {"render"},
    {"files"},
    {"pipeline", "checkpoints", "staging", "sampling", "view", "loop", "animate"},
    {"page", "__main__", "batch"},
)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor(module: str) -> int:
    """The floor of "motion.edits": that of its longest name in `FLOORS`."""
    names = [".".join(module.split(".")[:count]) for count in (2, 1)]
    return next(number for name in names for number, rooms in enumerate(FLOORS) if name in rooms)


MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module):
    for name in imports(MODULES[module]):
        top, _, inner = name.partition(".")
        assert top not in ("train", "tests", "app"), name
        assert top != "gradio" or module.startswith("page."), name
        if top == "loopanimate" and inner and (inner in MODULES or inner.split(".")[0] in {m.split(".")[0] for m in MODULES}):
            target = next((known for known in (inner, inner.rpartition(".")[0]) if known in MODULES), None)
            assert target is None or floor(target) <= floor(module), f"{module} imports {target}"


def test_the_map_is_the_tree():
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    tree = text[text.index("## The tree") : text.index("## Where")]
    told = set(re.findall(r"`(?:\.\./)?([\w/]+?)(?:\.py|/)`", tree))
    here = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.name not in ("__init__.py", "README.md")}
    assert told - {"app", "train", "loopanimate"} == here - {"__pycache__", "assets"}


def test_intervals_are_measured_by_clocks_that_nobody_sets():
    """Each other place has a reason beside it, and what a clock that is set does there is tested."""
    clock = re.compile(r"time\.time\(|datetime|st_[mac]time\b")
    found = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if clock.search(path.read_text("utf-8"))}
    assert found == {"__main__.py", "files/pictures.py"}


def test_every_citation_leads_somewhere():
    pages = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.md")}
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "train").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        if path != Path(__file__):
            cited = set(re.findall(r"\b(?:[\w/]+/)?[A-Z]{3,}\.md\b", path.read_text(encoding="utf-8")))
            assert cited <= pages | {"README.md", "LICENSE.md"}, f"{path.name} cites {cited - pages}"


def test_the_page_answers_before_torch_is_imported():
    found = subprocess.run(
        [sys.executable, "-c", "import app, sys; print('torch' in sys.modules)"], capture_output=True, check=False, text=True
    )
    assert found.stdout.strip() == "False", found.stderr


def test_what_the_space_installs_is_what_the_page_needs():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11 on
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    required = {line.partition("#")[0].strip() for line in lines} - {""}
    assert required == {*project["dependencies"], *project["optional-dependencies"]["app"]}
    tests = (ROOT / "tests" / "requirements.txt").read_text()
    assert all(name in tests for name in project["optional-dependencies"]["train"])
