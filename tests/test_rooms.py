"""The house holds together: rooms import towards the ones named before, functions stay short of arguments, advice is true."""

import ast
import re
from pathlib import Path

import pytest

from pfes.base import provenance, store
from pfes.workflow.plan import DEPENDS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "pfes"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if len(path.relative_to(SOURCE).parts) > 1)
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
MOST_PARAMETERS = 8  # of a function outside of kernels
KERNELS = (
    "flow/tvl1_kernels.py",
    "flow/tvl1_triton.py",
    "network/attention_triton.py",
    "methods/gim/losses/release.py",
)


def order() -> list[str]:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    return [line.split()[0] for line in re.findall(r"```rooms\n(.*?)```", text, re.DOTALL)[0].splitlines()]


def imported(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_room_imports_only_from_rooms_before_it_and_never_snakemake(path: Path) -> None:
    rooms = order()
    own = rooms.index(path.relative_to(SOURCE).parts[0])
    for name in imported(path):
        assert not name.startswith("snakemake")
        parts = name.split(".")
        if parts[0] == "pfes" and len(parts) > 1 and parts[1] in rooms:
            assert rooms.index(parts[1]) <= own, f"{path.name} imports {name} from a later room"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_function_has_more_parameters_than_one_can_keep_in_mind(path: Path) -> None:
    if path.relative_to(SOURCE).as_posix() in KERNELS:
        pytest.skip("compiled kernels, and the published code, take their arrays one by one")
    if path.name == "cli.py":
        pytest.skip("commands take one parameter per option")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            found = [a.arg for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
            count = len([name for name in found if name not in ("self", "cls")])
            assert count <= MOST_PARAMETERS, f"{path.name}: {node.name} has {count} parameters"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_short_and_has_no_logic(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith(("from", "import"))]
    assert len(lines) <= 15 + 1  # and the docstring
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)]


def rules() -> dict[str, str]:
    """Return rule -> its text."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    parts = re.split(r"(?m)^ *rule (\w+):", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_advice_to_rerun_names_a_rule_that_there_is() -> None:
    known = set(rules())
    texts = [path.read_text(encoding="utf-8") for path in MODULES]
    advised = {name for text in texts for name in re.findall(r"rerun rule (\w+)", text)}
    kinds = {kind for text in texts for kind in re.findall(r'(?:write_table|store\.create)\([^"\n]*"(\w+)"', text)}
    assert {"proposals", "counts", "truth"} <= kinds | {"counts", "truth"}
    assert len(kinds) > 15
    assert advised <= known
    assert {store.rerun(kind).removeprefix("rerun rule ") for kind in (kinds | set(store.FORMATS)) - {"test"}} <= known


def test_the_digest_of_a_rule_is_of_all_that_its_script_imports() -> None:
    """A script's imports are found anew here, module by module; the registry stands for the method beside it."""
    for name, text in rules().items():
        script = re.search(r"workflow/scripts/(\w+)\.py", text)
        if script is None or name in ("faces", "flow", "experiment"):  # keyed by pfes.flow.cache; no result
            continue
        digests = re.findall(r'code=code\("(\w+)"\)', text)
        assert digests == [script.group(1)], f"rule {name}: digest of {digests}, script {script.group(1)}"
        used = provenance.modules_used(f"workflow/scripts/{script.group(1)}.py", root=ROOT)
        for module in imported(ROOT / f"workflow/scripts/{script.group(1)}.py"):
            if module.startswith("pfes."):
                parent = module.rpartition(".")[0]
                assert module in used or parent in used or parent == provenance.REGISTRY, f"rule {name}: {module}"
        if provenance.REGISTRY in " ".join(imported(ROOT / f"workflow/scripts/{script.group(1)}.py")):
            assert "method=method_code" in text, f"rule {name} runs a method without its digest"


def test_every_rule_takes_the_settings_that_it_is_said_to_depend_on() -> None:
    taken = {name: re.findall(r'settings=depends\("(\w+)"\)', text) for name, text in rules().items()}
    assert {name for name, found in taken.items() if found} == set(DEPENDS)
    assert all(found in ([], [name]) for name, found in taken.items())
