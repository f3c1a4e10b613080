"""Names and numbers of lists that `pfes evaluate` scores: one spelling in all files, no number read otherwise."""

import numpy as np
import pytest

from pfes.base.errors import InputError
from pfes.exchange.lists import read_lists
from pfes.exchange.published import import_published


def lists(folder, instances, proposals):
    for name, rows in (("i", instances), ("p", proposals)):
        (folder / f"{name}.csv").write_text(f"subject,video,class,onset,offset\n{rows}\n", encoding="utf-8")
    return read_lists(folder / "i.csv", folder / "p.csv")


def test_one_name_in_two_spellings_is_one_video(tmp_path):
    found = lists(tmp_path, "Zo\u00eb,a,macro,1,20", "Zoe\u0308,a\u200b,MaE,1,20")
    assert len(found["videos"]) == 1


@pytest.mark.parametrize(("first", "second"), [("anna", "Anna"), ("01", "1")])
def test_names_that_look_alike_in_two_files_are_refused(tmp_path, first, second):
    with pytest.raises(InputError, match=r"subject '.*' looks like '.*' of .*; write the name the same in both"):
        lists(tmp_path, f"{first},a,macro,1,20", f"{second},a,macro,1,20")


def test_two_names_that_a_file_itself_tells_apart_are_two(tmp_path):
    found = lists(tmp_path, "anna,a,macro,1,20\nAnna,b,macro,1,20", "Anna,b,macro,1,20")
    assert len(found["videos"]) == 2


@pytest.mark.parametrize("frame", ["1_0", "1,5", "0x10", "1e999"])
def test_what_is_no_frame_number_is_refused(tmp_path, frame):
    with pytest.raises(InputError, match="row 2: onset .* is not a whole frame number"):
        lists(tmp_path, f'anna,a,macro,"{frame}",2000', "anna,a,macro,1,20")


def published(folder, names, rows, fps=30.0):
    clips, segments, labels = (np.empty(len(names), object) for _ in range(3))
    for index in range(len(names)):
        clips[index], segments[index] = np.zeros((20, 17, 10, 2), np.float32), rows
        labels[index] = np.array(["macro"] * len(rows))
    for name, array in (("f", clips), ("segments", segments), ("labels", labels), ("videoname", np.array(names))):
        np.save(folder / f"{name}.npy", array)
    return import_published(folder / "f.npy", folder, folder / "out", dataset="samm_lv", fps=fps)


def test_published_features_are_asked_the_same(tmp_path):
    assert published(tmp_path, ["anna/a", "ben/b"], np.array([[2, 9, 5]])).videos == 2
    with pytest.raises(InputError, match="subjects 'anna' and 'Anna' look alike"):
        published(tmp_path, ["anna/a", "Anna/b"], np.array([[2, 9, 5]]))
    with pytest.raises(InputError, match="expected whole frame numbers"):
        published(tmp_path, ["anna/a"], np.array([[2.7, 9.0, 5.0]]))
    with pytest.raises(InputError, match="--fps -30"):
        published(tmp_path, ["anna/a"], np.array([[2, 9, 5]]), fps=-30)
