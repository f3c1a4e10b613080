"""SLURM on this machine: one node, started and stopped by hand, for as long as tests need it.

Debian's slurm-wlm and munge, no systemd, no accounting, no cgroups. Memory is enforced by polling (``OverMemoryKill``: every
two seconds slurmd adds up what the processes of a step use), time limits by slurmctld, to the half minute. A job step reads
/etc/slurm/slurm.conf whatever SLURM_CONF says, so the configuration lies there.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
CONFIG = Path("/etc/slurm/slurm.conf")
NOTE = "# written by pfes's tests\n"
PARTITION = "short"
TEXT = """\
ClusterName=pfes
SlurmctldHost={host}
SlurmUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=5,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
ReturnToService=2
KillWait=10
MinJobAge=600
NodeName={host} CPUs=4 RealMemory={memory} State=UNKNOWN
PartitionName={partition} Nodes={host} Default=YES MaxTime=600 State=UP
"""


def missing() -> str:
    """Return why SLURM cannot be tested here, "" if it can."""
    absent = [name for name in PROGRAMS if _program(name) is None]
    if absent:
        return f"SLURM is not installed ({', '.join(absent)}): apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "only root can start slurmd"
    if CONFIG.exists() and not CONFIG.read_text().startswith(NOTE):
        return f"this machine has a SLURM of its own ({CONFIG})"
    return ""


@contextmanager
def cluster() -> Iterator[Path]:
    """Run munged, slurmctld and slurmd inside the block, whose logs lie in the folder; cancel what is queued at its end."""
    folder = Path(tempfile.mkdtemp(prefix="pfes-slurm-"))
    memory = int(psutil.virtual_memory().total / 2**20 * 0.9)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text(NOTE + TEXT.format(host=socket.gethostname(), folder=folder, memory=memory, partition=PARTITION))
    started = [*_munge(folder), *(_daemon(name, folder) for name in ("slurmctld", "slurmd"))]
    try:
        _wait_until_idle(folder)
        yield folder
    finally:
        subprocess.run(["scancel", "--me"], check=False, capture_output=True)
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        CONFIG.unlink()
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _munge(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start munged as its own user, where none runs yet."""
    if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0:
        return
    for place in ("/run/munge", "/var/lib/munge", "/var/log/munge"):
        Path(place).mkdir(exist_ok=True)
        shutil.chown(place, "munge", "munge")
    log = (folder / "munged.log").open("w")
    yield subprocess.Popen(
        ["runuser", "-u", "munge", "--", _program("munged") or "", "--foreground"], stderr=log, stdout=log
    )
    deadline = time.monotonic() + 20
    while subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode and time.monotonic() < deadline:
        time.sleep(0.2)


def _daemon(name: str, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.out").open("w") as log:
        return subprocess.Popen([_program(name) or "", "-D"], stdout=log, stderr=log)


def _wait_until_idle(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        listed = subprocess.run(["sinfo", "--noheader", "--format=%t"], capture_output=True, text=True, check=False)
        if listed.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    said = "\n".join(path.read_text()[-2000:] for path in sorted(folder.glob("*.log")))
    raise RuntimeError(f"the node did not become idle within a minute\n{said}")
