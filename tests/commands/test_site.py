"""A profile from what SLURM says: answers of three sites, as their programs print them."""

import subprocess

import pytest
import yaml

from pfes.base.errors import InputError
from pfes.commands import site
from pfes.workflow.resources import START_MB

OFF = "AccountingStorageType   = accounting_storage/none\nMinJobAge               = 300 sec\nTaskPlugin              = task/none\n"
ON = "AccountingStorageType   = accounting_storage/slurmdbd\nMinJobAge               = 2 sec\nTaskPlugin              = task/cgroup,task/affinity\n"
SMALL = "short*|10:00:00|4|8000|(null)|up\n"
LARGE = (
    "cpu|7-00:00:00|64|250000+|(null)|up\ncpu|7-00:00:00|128|500000|(null)|up\ndebug*|30:00|64|250000|(null)|up\n"
    "gpu|2-00:00:00|64|500000|gpu:a100:4(S:0-1)|up\nold|infinite|8|32000|(null)|down\n"
)


@pytest.fixture
def answers(monkeypatch):
    def answer(sinfo, scontrol, account=""):
        said = {"sinfo": sinfo, "scontrol": scontrol, "sh": account}
        monkeypatch.setattr(
            site.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, said[command[0]], "")
        )

    return answer


def test_a_small_site_without_accounting(answers, tmp_path):
    answers(SMALL, OFF)
    profile = yaml.safe_load(site.write_profile(tmp_path).read_text())
    assert profile["executor"] == "slurm"
    assert profile["slurm-no-account"] is True
    assert profile["slurm-status-command"] == "squeue"
    assert profile["default-resources"] == {"slurm_partition": "short"}
    limits = {"train": {"runtime": 600}, "intensity_train": {"runtime": 600}}
    assert profile["set-resources"] == limits  # and no rule of a group: there time limits add up
    said = "\n".join(site.report())
    assert "partition short (default): 10 h at most, 4 cores and 8,000 MB a node" in said
    assert "memory: not enforced" in said
    assert f"training.chunk_memory_mb: {4800 - START_MB}" in said


def test_a_large_site_with_gpus(answers, tmp_path):
    answers(LARGE, ON, "psych\n")
    profile = yaml.safe_load(site.write_profile(tmp_path).read_text())
    assert profile["slurm-status-command"] == "sacct"
    assert profile["default-resources"] == {
        "slurm_partition": "cpu",
        "slurm_account": "psych",
    }  # not the default: it gives half an hour
    assert profile["set-resources"]["train"] == {"runtime": 1440, "slurm_partition": "gpu", "gpu": 1}
    assert profile["resources"] == {"gpu": 4}
    assert "old" not in "\n".join(site.report())
    cpu = next(one for one in site.site().partitions if one.name == "cpu")
    assert (cpu.minutes, cpu.cores, cpu.memory_mb) == (10080, 128, 500_000)


def test_no_slurm(monkeypatch, tmp_path):
    def absent(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(site.subprocess, "run", absent)
    assert list(site.report()) == []
    with pytest.raises(InputError, match="sinfo is not installed here"):
        site.write_profile(tmp_path)


def test_a_controller_that_is_down_is_one_line(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "slurm_load_partitions: Unable to contact slurm controller\n")
    monkeypatch.setattr(site.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(InputError, match="sinfo: slurm_load_partitions: Unable to contact"):
        list(site.report())
