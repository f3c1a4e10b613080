"""Names that no file can have, and recordings that were there before, are refused before any work."""

import numpy as np
import pytest
import yaml

from pfes.base import store
from pfes.base.errors import InputError
from pfes.workflow.plan import plan_file


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def made(subject="anna", video="film", path="film.mp4", **config):
        (tmp_path / "v.csv").write_text(f"subject,video,path\n{subject},{video},{path}\nben,film,other.mp4\n")
        (tmp_path / "e.csv").write_text(f"subject,video,onset,offset,class\n{subject},{video},1,20,macro\n")
        dataset = {"name": "generic", "videos": "v.csv", "expressions": "e.csv"}
        (tmp_path / "my.yaml").write_text(yaml.safe_dump({"run": "mine", "dataset": dataset, **config}))
        return plan_file(tmp_path / "my.yaml")

    return made


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {"subject": "s" * 300},
            "'s{40}'... of a recording or fold has 305 bytes as the name of a file, expected 200 at most",
        ),
        ({"video": "v" * 300}, "has 305 bytes as the name of a file, expected 200 at most; shorten subject and video"),
        ({"subject": "\u00e9" * 110}, "has 225 bytes"),
        ({"path": "p" * 300}, "row 2: the path 'p{40}'... is longer than any file's"),
        ({"experiments": ["x" * 300]}, "experiments: 'x{20}'... has 300 letters; expected 64 at most"),
        ({"run": "r" * 300}, "run: .*is too long"),
    ],
)
def test_a_name_that_no_file_can_have_is_refused(plan, names, message):
    with pytest.raises(InputError, match=message):
        plan(**names)


def test_a_name_of_the_greatest_length_is_taken(plan):
    assert max(map(len, plan(subject="s" * 195).videos)) == 200


def test_a_recording_that_was_never_there_costs_itself_alone(plan):
    assert plan().vanished == ""


def test_a_recording_that_was_used_before_and_is_gone_stops_the_run(plan, tmp_path):
    """A disk that is not mounted would replace all faces and all flow by refusals."""
    found = plan()
    faces = found.run / "faces" / found.keys["faces"]
    store.write(faces / "anna_film.h5", "faces", {"state": np.zeros(16, np.uint8)}, {})
    store.refuse(faces / "ben_film.h5", "faces", "other.mp4: no such file", {})
    assert "1 of 2 recordings are no longer there (first: anna_film, " in found.vanished
    (tmp_path / "film.mp4").touch()
    assert plan().vanished == ""
