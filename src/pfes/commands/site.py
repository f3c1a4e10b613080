"""What a site's SLURM is, as far as the workflow's profile has to know it, and the profile written from that.

Asked are ``sinfo`` (partitions), ``scontrol show config`` (accounting, how memory is enforced) and, where accounting is on,
``sacctmgr`` (the user's account). Memory is in MB, time in minutes.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.place import ROOT
from pfes.network.memory import MOST_MB
from pfes.workflow.resources import MOST_MINUTES, START_MB

LONG_RULES = (
    "train",
    "intensity_train",
)  # that go on in the next attempt: they get all that a partition gives, and no more
ENOUGH_MINUTES = 12 * 60  # of a partition that jobs go to
LASTING_S = 120  # that squeue should know of an ended job, to be asked how it ended


@dataclass(frozen=True)
class Partition:
    """One partition: time limit (None: none), cores and memory of its largest node, GPUs of a node."""

    name: str
    default: bool
    minutes: int | None
    cores: int
    memory_mb: int
    gpus: int


@dataclass(frozen=True)
class Site:
    """One SLURM; ``account`` is the user's default one, "" without accounting or where none is set."""

    partitions: tuple[Partition, ...]
    settings: dict[str, str]
    account: str

    @property
    def accounting(self) -> bool:
        """Return whether ended jobs are kept in a data base, which sacct reads."""
        return self.settings.get("AccountingStorageType", "").endswith("slurmdbd")

    @property
    def status_command(self) -> str:
        """Return the command that tells how jobs ended."""
        lasting = re.match(r"\d+", self.settings.get("MinJobAge", "0"))
        short = lasting is None or int(lasting[0]) < LASTING_S
        return "sacct" if self.accounting and short else "squeue"

    @property
    def general(self) -> Partition:
        """Return the partition for jobs without GPU: of those that give half a day the default one, else the longest limit."""
        plain = [one for one in self.partitions if not one.gpus] or list(self.partitions)

        def worth(one: Partition) -> tuple[bool, bool, int]:
            minutes = MOST_MINUTES if one.minutes is None else one.minutes
            return minutes >= ENOUGH_MINUTES, one.default, minutes

        return max(plain, key=worth)

    @property
    def gpu(self) -> Partition | None:
        """Return the partition with GPUs that has the longest limit, None without any."""
        found = [one for one in self.partitions if one.gpus]
        return max(found, key=lambda one: (one.minutes is None, one.minutes or 0), default=None)


def site() -> Site | None:
    """Return the SLURM of this machine; None where sinfo is not installed. Raises InputError where it does not answer."""
    try:
        listed = _asked("sinfo", "--noheader", "--format=%P|%l|%c|%m|%G|%a")
    except FileNotFoundError:
        return None
    partitions = tuple(_partitions(listed))
    if not partitions:
        raise InputError("sinfo lists no partition that is up; is this the login node of the cluster?")
    lines = _asked("scontrol", "show", "config").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    made = Site(partitions, {key.strip(): value.strip() for key, value in pairs}, "")
    if not made.accounting:
        return made
    account = _asked("sh", "-c", 'sacctmgr --noheader --parsable2 show user "$(id -un)" format=DefaultAccount').strip()
    return Site(partitions, made.settings, account)


def report() -> Iterator[str]:
    """Yield what the profile has to know of this machine's SLURM, one line each; nothing where there is none."""
    found = site()
    if found is None:
        return
    for one in found.partitions:
        limit = "no time limit" if one.minutes is None else f"{one.minutes / 60:g} h at most"
        gpus = f", {one.gpus} GPUs" if one.gpus else ""
        default = " (default)" if one.default else ""
        yield f"partition {one.name}{default}: {limit}, {one.cores} cores and {one.memory_mb:,} MB a node{gpus}"
    account = f"account {found.account}" if found.account else "no account is needed: slurm-no-account"
    yield f"accounting is {'on' if found.accounting else 'off'}: {account}; slurm-status-command: {found.status_command}"
    yield f"memory: {_enforced(found.settings)}"
    most = START_MB + 1.25 * MOST_MB
    if found.general.memory_mb < most and (found.gpu is None or found.gpu.memory_mb < most):
        yield (
            f"a training at the paper's size may ask for {most:,.0f} MB; here set training.chunk_frames: 256 and"
            f" training.chunk_memory_mb: {max(500, round(found.general.memory_mb * 0.6) - START_MB)}"
        )
    yield "write a profile from this: pfes init FOLDER --cluster slurm"


def write_profile(folder: Path) -> Path:
    """Write ``folder/profile/config.yaml``, which ``pfes run`` takes for configurations in ``folder``, and return its path.

    Raises
    ------
    InputError
        No SLURM here, or the file is there already.
    """
    found, path = site(), folder / "profile" / "config.yaml"
    if found is None:
        raise InputError("sinfo is not installed here; give this command on the login node of the cluster")
    if path.exists():
        raise InputError(f"{path} is there already; remove it, or choose another folder")
    shipped = (ROOT / "workflow/profiles/slurm/config.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^slurm-status-command: .*$", f"slurm-status-command: {found.status_command}", shipped)
    text = re.sub(r"(?m)^# default-resources:\n(#   .*\n)*", "", text)
    with store.atomic(path) as temporary:
        temporary.write_text(text + "\n".join(_own(found)) + "\n", encoding="utf-8")
    return path


def _own(found: Site) -> Iterator[str]:
    """Yield the lines of the profile that are the site's own."""
    general, gpu = found.general, found.gpu
    yield f"# What sinfo said of this site. A node of {general.name} has {general.cores} cores and {general.memory_mb} MB."
    if found.account:
        yield f'default-resources:\n  slurm_partition: "{general.name}"\n  slurm_account: "{found.account}"'
    else:
        yield f'slurm-no-account: true\ndefault-resources:\n  slurm_partition: "{general.name}"'
    limits = {rule: general.minutes for rule in LONG_RULES if general.minutes and general.minutes < MOST_MINUTES}
    if gpu is not None:
        yield f"# Trainings that hold a GPU at a time.\nresources:\n  gpu: {gpu.gpus}\nset-resource-scopes:\n  gpu: global"
        limits["train"] = min(gpu.minutes or MOST_MINUTES, MOST_MINUTES)
    if limits:
        yield "# A training asks for all minutes that its partition gives, and goes on in its next attempt.\nset-resources:"
    for rule, minutes in limits.items():
        yield f"  {rule}:\n    runtime: {minutes}"
        if rule == "train" and gpu is not None:
            yield f'    slurm_partition: "{gpu.name}"\n    gpu: 1'


def _partitions(listed: str) -> Iterator[Partition]:
    """Yield the partitions that are up; sinfo has one line for every kind of node."""
    nodes: dict[str, list[Partition]] = {}
    for line in listed.splitlines():
        name, limit, cores, memory, gres, state = line.split("|")
        if state == "up":
            gpus = sum(int(number) for number in re.findall(r"gpu(?::[^:,(]+)?:(\d+)", gres))
            kind = Partition(
                name.rstrip("*"), name.endswith("*"), minutes_of(limit), _number(cores), _number(memory), gpus
            )
            nodes.setdefault(kind.name, []).append(kind)
    for kinds in nodes.values():
        first = kinds[0]
        largest = [max(getattr(kind, part) for kind in kinds) for part in ("cores", "memory_mb", "gpus")]
        yield Partition(first.name, first.default, first.minutes, *largest)


def minutes_of(text: str) -> int | None:
    """Return a time limit of SLURM in minutes, None for no limit.

    >>> minutes_of("2-12:00:00"), minutes_of("10:00:00"), minutes_of("30:00"), minutes_of("infinite")
    (3600, 600, 30, None)
    """
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text.strip())
    if match is None:
        return None
    days, hours, minutes = (int(part or 0) for part in match.groups()[:3])
    return (days * 24 + hours) * 60 + minutes


def _number(text: str) -> int:
    return int(re.sub(r"\D.*", "", text) or 0)


def _enforced(settings: dict[str, str]) -> str:
    """Return how memory beyond what a job asked for is noticed."""
    if "cgroup" in settings.get("TaskPlugin", ""):
        return "enforced by cgroups: a job over its memory is ended at once and comes again with more"
    if "OverMemoryKill" in settings.get("JobAcctGatherParams", ""):
        return "enforced by polling: a job over its memory is ended within seconds and comes again with more"
    return "not enforced: a job over its memory goes on, at the cost of its neighbours"


def _asked(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{command[0]} does not answer within a minute; is the SLURM controller down?") from error
    if done.returncode:
        raise InputError(f"{command[0]}: {done.stderr.strip() or 'failed'}; is this a node of the cluster?")
    return done.stdout
