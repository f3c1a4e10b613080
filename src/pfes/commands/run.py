"""Start the workflow, after whatever a run of before has left behind: ``pfes run``.

The work is done by Snakemake's own command line, in a process of its own. Here is what a person would do by hand around it:

profile  that in the folder ``profile`` beside the first configuration (``pfes init --cluster``), else the one of a laptop;
claim    ``.run.json`` in the results folder names host, process and start of the run that works there; a second one is refused;
tidy     of a run whose process is dead: its jobs are ended (their training state stays), Snakemake's lock of its files is
         removed, and so are temporary files (``.part``) that no living process writes.

Every process of a run has its id in the environment (``PFES_RUN``), and its SLURM jobs have it in their names: a process
number that was given anew, or a clock that was set, misleads nobody. A run of another host cannot be looked at: it is refused
until its claim is removed by hand.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import psutil
import yaml
from filelock import FileLock

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.place import ROOT, SHELL_WORD
from pfes.base.records import file_name

CLAIM = ".run.json"
MARK = "PFES_RUN"  # environment variable with the id of the run that a process belongs to
PREFIX = "pfes-"  # of the names of SLURM jobs, before that id
PATIENCE_S = 30.0  # that jobs have to end by themselves
PART = re.compile(r"\..*\.(\d+)\.part(\.\w+)?")
# Options of Snakemake with which it starts no job.
LOOKS_ONLY = re.compile(
    r"-n|--(dry-?run|unlock|lint|summary|detailed-summary|dag|rulegraph|filegraph|report|list.*|help|version)"
)
OWN_PROFILE = re.compile(r"(--workflow-profile|--profile|--executor)(=.*)?|-e")
OWN_CORES = re.compile(r"(--cores|--jobs)(=.*)?|-[cj]\S*")


@dataclass(frozen=True)
class Claim:
    """Who works in a results folder: Snakemake's process ``pid`` on ``host``; ``id`` is that of the run."""

    id: str
    host: str
    pid: int
    since: str


def run(configs: Sequence[Path], arguments: Sequence[str] = ()) -> int:
    """Run the workflow in the working folder, going on where an earlier run was killed, and return Snakemake's exit status.

    Parameters
    ----------
    configs : configuration files, later ones over earlier ones.
    arguments : for Snakemake, as on its command line.

    Raises
    ------
    InputError
        A configuration is missing, another run works in the same results folder, or this one cannot be written.
    """
    command = [*_snakemake(configs, arguments), *arguments]
    if any(LOOKS_ONLY.fullmatch(argument) for argument in arguments):
        return subprocess.run(command, check=False).returncode
    results = Path("results") / file_name(run_name(configs, arguments))
    with _alone(results):
        for line in tidy(results):
            print(f"pfes: {line}", file=sys.stderr)
        run_id = uuid.uuid4().hex[:12]
        process = subprocess.Popen(
            [*command, "--slurm-jobname-prefix", PREFIX + run_id], env=os.environ | {MARK: run_id}
        )
        claim = Claim(run_id, socket.gethostname(), process.pid, time.strftime("%Y-%m-%d %H:%M:%S"))
        with store.atomic(results / CLAIM) as temporary:
            temporary.write_text(json.dumps(asdict(claim)))
    with _passing_signals(process, claim):
        status = process.wait()
    if status >= 0:  # it ended by itself: no lock and no job is left
        (results / CLAIM).unlink(missing_ok=True)
    return status


def run_name(configs: Sequence[Path], arguments: Sequence[str] = ()) -> str:
    """Return the name of the run that ``configs`` and ``--config run=...`` among the arguments describe."""
    given = [argument.removeprefix("run=") for argument in arguments if argument.startswith("run=")]
    contents = []
    for path in [Path("config/config.yaml"), *configs]:
        path = path if path.exists() or path in configs else ROOT / path
        try:
            contents.append(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{path}: cannot be read as YAML ({error}); write one with: pfes init") from error
    names = [content["run"] for content in contents if isinstance(content, dict) and "run" in content]
    return str([*names, *given][-1])


def _snakemake(configs: Sequence[Path], arguments: Sequence[str]) -> list[str]:
    """Return the command that runs the workflow here, up to the arguments of the user."""
    command = [str(interpreter()), "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    if not any(OWN_PROFILE.fullmatch(argument) for argument in arguments):
        command += ["--workflow-profile", str(_profile(configs))]
        if _profile(configs).parent.name == "profiles" and not any(OWN_CORES.fullmatch(one) for one in arguments):
            command += ["--cores", "all"]
    return [*command, "--configfile", *map(str, configs)]


def interpreter() -> Path:
    """Return this Python by a path that a shell takes for one word: Snakemake names it in commands and does not quote it.

    The folder of an environment with, say, a space in its path gets a link in the user's folder for caches or, where that has a
    space too or cannot be written, in the folder for temporary files.

    Raises
    ------
    InputError
        No such link can be made.
    """
    executable, prefix = Path(sys.executable), Path(sys.prefix)
    if SHELL_WORD.fullmatch(str(executable)):
        return executable
    name = f"environment-{sha256(str(prefix).encode()).hexdigest()[:12]}"
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for folder in (caches, tempfile.gettempdir()):
        link = Path(folder, f"pfes-{os.getuid()}", name)
        with suppress(OSError):  # it may be there already
            link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            link.symlink_to(prefix)
        if link.resolve() == prefix.resolve() and SHELL_WORD.fullmatch(str(link)) and _own(link.parent):
            return link / executable.relative_to(prefix)
    raise InputError(
        f"{prefix}: Snakemake cannot run in an environment whose path holds a space or another character that is special in a "
        "shell, and no link to it could be made; make the environment in another folder"
    )


def _own(folder: Path) -> bool:
    """Return whether nobody else can put another link there."""
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


def _profile(configs: Sequence[Path]) -> Path:
    own = configs[0].parent / "profile" if configs else Path("profile")
    return own if (own / "config.yaml").is_file() else ROOT / "workflow/profiles/default"


# ------------------------------------------------------------------------------------------------ one run at a time


@contextmanager
def _alone(results: Path) -> Iterator[None]:
    """Hold the results folder while a run is begun, so that of two that begin at once one sees the other's claim."""
    lock = FileLock(results / ".run.lock", timeout=4 * PATIENCE_S)
    try:
        results.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise InputError(
            f"{results}: cannot be written ({error}); is the folder yours, and is there room on the disk?"
        ) from error
    except NotImplementedError:  # a file system without locks: the claim alone has to do
        pass
    try:
        yield
    finally:
        lock.release()


def tidy(results: Path) -> Iterator[str]:
    """Remove what a dead run left in ``results`` and say it; raises InputError where a run is alive."""
    claim, locks = _claim(results / CLAIM), _locks(results)
    if claim is None and locks:
        _refuse_unclaimed(results)
    if claim is not None:
        _refuse_living(claim, results)
        yield from _end_jobs(claim)
        for lock in locks:
            lock.unlink()
        yield f"going on where process {claim.pid} ended, which began {claim.since}" + (
            "; its lock is removed" if locks else ""
        )
    if parts := _sweep(results):
        yield f"removed {parts} unfinished temporary files"
    (results / CLAIM).unlink(missing_ok=True)


def _claim(path: Path) -> Claim | None:
    try:
        return Claim(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); if no run works there, remove it") from error


def _refuse_living(claim: Claim, results: Path) -> None:
    who = f"{results}: a run works there, process {claim.pid} on {claim.host} since {claim.since}"
    if claim.host != socket.gethostname():
        raise InputError(f"{who}; if that process is dead, remove {results / CLAIM} there and start again")
    if any(process.pid == claim.pid for process in _processes(claim.id)):
        raise InputError(f"{who}; wait for it, or end it with: kill {claim.pid}")


def _processes(run_id: str) -> list[psutil.Process]:
    """Return the processes on this host that belong to a run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == run_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):  # ended meanwhile, or another user's
            continue
    return found


def _end_jobs(claim: Claim) -> Iterator[str]:
    """End the jobs that outlived their run, on this host and in the queue of SLURM, and say it."""
    orphans = _processes(claim.id)
    if orphans:
        _end(orphans)
        yield f"ended {len(orphans)} processes of the run that began {claim.since}"
    if queued := _queued(claim):
        subprocess.run(["scancel", *queued], check=False)
        deadline = time.monotonic() + 2 * PATIENCE_S
        while _queued(claim) and time.monotonic() < deadline:
            time.sleep(1)
        yield f"cancelled {len(queued)} SLURM jobs of the run that began {claim.since}: {' '.join(queued)}"


def _end(processes: Iterable[psutil.Process]) -> None:
    """Ask processes to end, and kill those that have not after PATIENCE_S."""
    processes = list(processes)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with suppress(psutil.Error):
                ask(process)
        processes = psutil.wait_procs(processes, timeout=PATIENCE_S)[1]


def _queued(claim: Claim) -> list[str]:
    """Return the SLURM jobs of a run that wait or run."""
    try:
        listed = subprocess.run(
            ["squeue", "--me", "--noheader", "--format=%A %j"], capture_output=True, text=True, timeout=60, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    rows = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
    return [row[0] for row in rows if len(row) == 2 and row[1].startswith(PREFIX + claim.id)]


def _locks(results: Path) -> list[Path]:
    """Return Snakemake's locks of files in ``results``; those of other runs in this folder are left out."""
    start = f"{results.as_posix()}/"
    locks = Path(".snakemake/locks").glob("*.lock")
    return [lock for lock in locks if any(line.startswith(start) for line in lock.read_text().splitlines())]


def _refuse_unclaimed(results: Path) -> None:
    """Raise InputError: a run that this command did not begin holds the folder, here or on another host."""
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(Path.cwd()) and any("snakemake" in part for part in process.cmdline()):
                raise InputError(
                    f"{results}: Snakemake works there, process {process.pid} on {socket.gethostname()}; wait for it, or end it"
                )
        except (psutil.Error, OSError):
            continue
    raise InputError(
        f"{results}: locked by a run that was not begun with pfes run, and no process on {socket.gethostname()} works there; if"
        " none on another host does, give the same command with -- --unlock at its end, and start again"
    )


def _sweep(results: Path) -> int:
    """Remove temporary files below ``results`` that no living process of this host writes, and return their number."""
    count = 0
    for path in results.rglob(".*.part*"):
        match = PART.fullmatch(path.name)
        if match and not _writes(int(match[1]), path):
            path.unlink(missing_ok=True)
            count += 1
    return count


def _writes(pid: int, path: Path) -> bool:
    """Return whether the process lives, and has been there since before the file was last written.

    One that was killed is in the system's list, as a zombie, until its parent asks for its end: in a container that may be late.
    """
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= path.stat().st_mtime + 1
    except (psutil.Error, OSError):
        return False


@contextmanager
def _passing_signals(process: subprocess.Popen[bytes], claim: Claim) -> Iterator[None]:
    """Turn SIGTERM into an orderly end: jobs are asked to end, then Snakemake is interrupted, which cancels what is queued.

    The terminal sends Ctrl-C to Snakemake itself; it is waited for.
    """

    def end(*_: object) -> None:
        for job in _processes(claim.id):
            with suppress(psutil.Error):
                if (
                    job.pid != process.pid and "--mode" not in job.cmdline()
                ):  # those are Snakemake's own, waiting for a job
                    job.terminate()
        process.send_signal(signal.SIGINT)

    previous = {signal.SIGTERM: signal.signal(signal.SIGTERM, end)}
    previous[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
