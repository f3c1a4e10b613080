"""A run as an RO-Crate: what it is, what made it, and which of its files are results (Process Run Crate 0.5).

Recordings are described by their number and their digests in the files of the run, and never part of the crate.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from rocrate.model import ContextEntity, Person
from rocrate.rocrate import ROCrate

from pfes.base import store
from pfes.commands.experiments import run_file
from pfes.commands.methods import RunFacts, read_facts

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
ENCODING = {".html": "text/html", ".json": "application/json", ".csv": "text/csv", ".svg": "image/svg+xml", ".pdf": "application/pdf",
            ".tex": "application/x-tex", ".txt": "text/plain", ".md": "text/markdown", ".bib": "application/x-bibtex"}  # fmt: skip


def write_crate(run: Path, licence: str, creator: str | None = None) -> Path:
    """Write ``ro-crate-metadata.json`` into a finished run and return its path.

    Parameters
    ----------
    licence : of the results, an address or a sentence; creator : name of who ran it.
    """
    ended = datetime.fromtimestamp(run_file(run, "summary.json").stat().st_mtime, UTC)
    facts, crate = read_facts(run), ROCrate(gen_preview=False)
    crate.name = f"pfes run {facts.name}"
    crate.description = _description(facts)
    crate.license = licence
    crate.datePublished = ended
    profile = crate.add(
        ContextEntity(crate, PROFILE, {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"})
    )
    crate.root_dataset["conformsTo"] = profile
    files = [
        crate.add_file(path, path.relative_to(run).as_posix(), properties=_properties(path)) for path in _results(run)
    ]
    tools = [
        crate.add(
            ContextEntity(crate, f"#{name}", {"@type": "SoftwareApplication", "name": name, "softwareVersion": version})
        )
        for name, version in facts.versions.items()
    ]
    action = {"@type": "CreateAction", "name": f"Workflow run {facts.name}", "endTime": ended.isoformat()}
    made = crate.add(ContextEntity(crate, "#run", action))
    made["instrument"], made["result"] = tools[0], files
    tools[0]["softwareRequirements"] = tools[1:]
    if creator:
        made["agent"] = crate.add(Person(crate, "#creator", {"name": creator}))
    crate.root_dataset["mentions"] = made
    path = run / "ro-crate-metadata.json"
    with store.atomic(path) as temporary:
        temporary.write_text(
            json.dumps(crate.metadata.generate(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return path


def _results(run: Path) -> list[Path]:
    """Return the results of a run: page, summary, what is for a paper."""
    single = [run / name for name in ("report.html", "summary.json", "complete.txt")]
    return [
        path
        for path in [*single, *sorted((run / "paper").rglob("*"))]
        if path.is_file() and not path.name.startswith(".")
    ]


def _properties(path: Path) -> dict[str, object]:
    return {
        "name": path.name,
        "encodingFormat": ENCODING.get(path.suffix, "application/octet-stream"),
        "contentSize": str(path.stat().st_size),
    }


def _description(facts: RunFacts) -> str:
    experiments = ", ".join([*facts.trained, *facts.free])
    return (
        f"Facial expression spotting, experiments {experiments}: {len(facts.videos)} recordings of"
        f" {facts.videos['subject'].nunique()} subjects, which are not part of this crate, {len(facts.labels)} labelled expressions."
    )
