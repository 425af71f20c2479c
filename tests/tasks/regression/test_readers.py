"""Tables of pictures and numbers, and driving logs."""

import cv2
import numpy as np
import pytest

import cnnkit
from cnnkit.tasks.regression import checks, loading, tables
from tests.tasks.regression import lines

UDACITY = ("center", "left", "right", "steering", "throttle", "brake", "speed")


def load(source, **how):
    return loading.load(source, **how)


def every(splits):
    return np.concatenate([part.numbers() for part in splits.parts.values() if len(part)])


def test_a_table_with_any_names_is_read_by_what_it_holds(tmp_path):
    data = lines.write(tmp_path, 60, header=("Photo", "Tilt of the mast"))
    splits = load(data)
    assert splits.train.values.names == ("Tilt of the mast",)
    assert np.isin(every(splits).astype(np.float32), np.float32(lines.angles(60))).all()
    assert any("Values: Tilt of the mast" in line for line in splits.card["inventory"]["notes"])


def test_a_table_without_a_header_and_the_file_itself(tmp_path):
    data = lines.write(tmp_path, 60, header=())
    assert load(data / "values.csv").train.values.names == ("column 1",)


def test_several_columns_of_numbers_are_asked_for(tmp_path):
    data = lines.write(tmp_path, 60, header=("image", "angle", "speed"), more=lambda k: (k % 5,))
    with pytest.raises(cnnkit.DataError, match="several columns of numbers: angle, speed. Say which"):
        load(data)
    both = load(data, values="speed,angle", unit="km/h,degrees")
    assert both.train.values.names == ("speed", "angle") and both.train.values.units == ("km/h", "degrees")
    assert load(data, values="2").train.values.names == ("speed",)
    with pytest.raises(cnnkit.DataError, match="no column `values=tilt`. It has image, angle, speed"):
        load(data, values="tilt")
    with pytest.raises(cnnkit.ConfigError, match="3 units, and there are 1 values"):
        load(data, values="angle", unit="a,b,c")


def test_columns_of_split_group_and_time(tmp_path):
    words = ("train", "train", "train", "val", "test")
    data = lines.write(tmp_path / "s", 60, header=("image", "angle", "split"), more=lambda k: (words[k % 5],))
    splits = load(data)
    assert [len(part) for part in splits.parts.values()] == [36, 12, 12]
    data = lines.write(tmp_path / "g", 60, header=("image", "angle", "drive"), more=lambda k: (f"d{k // 6}",))
    splits = load(data)
    groups = [set(part.groups.tolist()) for part in splits.parts.values()]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    data = lines.write(tmp_path / "t", 60, header=("image", "angle", "timestamp"), more=lambda k: ((k * 37) % 60,))
    first = load(data, by_time=True).train
    numbers = [int(first.name(k)[-8:-4]) * 37 % 60 for k in range(len(first))]
    assert numbers == sorted(numbers)
    data = lines.write(tmp_path / "u", 20, header=("image", "angle", "time"), more=lambda k: ("noon",))
    with pytest.raises(cnnkit.DataError, match="the column time holds 'noon', which is no time"):
        load(data)
    assert len(load(data, time="none").test)


def moments(splits):
    """Of each split, the moments of its pictures, three of which are of one."""
    return [{int(part.name(k)[-8:-4]) // 3 for k in range(len(part))} for part in splits.parts.values()]


@pytest.mark.parametrize("by_time", [True, False])
def test_pictures_of_one_time_are_of_one_moment(tmp_path, by_time):
    data = lines.write(tmp_path / "a", 90, header=("image", "angle", "time"), more=lambda k: (k // 3 / 10,))
    train, validation, test = moments(load(data, by_time=by_time, gap=0))
    assert not (train & validation or train & test or validation & test)
    assert sorted(train | validation | test) == list(range(30))
    data = lines.write(tmp_path / "b", 90, header=("image", "angle", "date"), more=lambda k: ("2026-05-31",))
    assert all(map(len, load(data, by_time=by_time).parts.values()))  # one date for all says nothing


@pytest.mark.parametrize("by_time", [True, False])
def test_the_cameras_of_a_moment_are_in_one_split(tmp_path, by_time):
    splits = load(log(tmp_path), by_time=by_time, gap=0)
    found = [{part.name(k)[-8:-4] for k in range(len(part))} for part in splits.parts.values()]
    assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])


def test_what_cannot_be_used_is_said_by_its_kind(tmp_path):
    data = lines.write(tmp_path, 40)
    with (data / "values.csv").open("a") as file:
        file.write("pictures/no.png,1\npictures/no2.png,1\npictures/0001.png,left\n")
        file.write("pictures/0002.png,nan\npictures/0003.png,\npictures/0004.png,inf\n")
    with pytest.raises(cnnkit.DataError) as caught:
        load(data)
    text = str(caught.value)
    assert "6 of 46 lines" in text and "\n" not in text
    assert "2 lines have no picture there (first values.csv, line 42: pictures/no.png)" in text
    assert "1 line has a value that is no number (values.csv, line 44: left)" in text
    assert "2 lines have a value that is NaN or infinite" in text and "1 line has no value" in text
    splits = load(data, skip_bad=True)
    assert len(splits.warnings) == 4 and sum(map(len, splits.parts.values())) <= 40
    kinds = [finding.kind for finding in checks.check(data)]
    assert kinds.count("bad-line") == 4


def test_a_damaged_picture_is_a_bad_line(tmp_path):
    data = lines.write(tmp_path, 40)
    (data / "pictures" / "0007.png").write_bytes(b"no picture")
    with pytest.raises(cnnkit.DataError, match="1 line cannot be read .*0007.png"):
        load(data)
    assert sum(map(len, load(data, skip_bad=True, gap=0).parts.values())) == 39


def test_a_check_decodes_every_picture_once(tmp_path):
    data = lines.write(tmp_path, 40)
    whole = (data / "pictures" / "0007.png").read_bytes()
    (data / "pictures" / "0007.png").write_bytes(whole[:60])  # its header is sound
    looked = []
    (finding,) = [f for f in checks.check(data, looked=looked) if f.severity == "error"]
    assert any("1 image" in line and "cannot be read" in line for line in looked)
    assert finding.kind == "bad-line" and "cannot be read" in finding.text and "0007.png" in finding.files[0]
    (data / "pictures" / "0007.png").write_bytes(whole)
    steps = []
    checks.check(data, progress=lambda what, done, total: steps.append((what.split(":")[0], done)))
    assert len(steps) == len(set(steps))


def test_a_check_looks_for_copies_however_many_pictures_there_are(tmp_path):
    data = lines.write(tmp_path, 2)
    rows = [(f"pictures/{k % 2:04d}.png", k % 2) for k in range(20_002)]
    lines.table(data / "values.csv", ("image", "value"), rows)
    assert "leak" in [finding.kind for finding in checks.check(data)]


def test_values_that_never_change_are_refused(tmp_path):
    data = lines.write(tmp_path, 40, header=("image", "angle", "speed"), more=lambda k: (3,))
    with pytest.raises(cnnkit.DataError, match="`speed` of .* are all 3: there is nothing to learn"):
        load(data, values="speed")
    assert [f.kind for f in checks.check(data, values="speed")] == ["values"]


def test_a_check_names_values_far_off_copies_and_one_value(tmp_path):
    data = lines.write(tmp_path, 60)
    rows = [(f"pictures/{k:04d}.png", -999 if k == 5 else k % 9) for k in range(60)]
    lines.table(data / "values.csv", ("image", "value"), [*rows, ("pictures/0000.png", 7)])
    looked = []
    found = {f.kind: f for f in checks.check(data, looked=looked)}
    assert "far-off" in found and "-999" in found["far-off"].files[0]
    assert any("value from" in line and "median" in line for line in looked)
    assert {"two-values", "leak"} & found.keys()
    lines.table(data / "values.csv", ("image", "value"), [(row[0], 0 if k % 10 else 1) for k, row in enumerate(rows)])
    assert "one-value" in [f.kind for f in checks.check(data)]


def test_folders_of_tables_are_groups_and_folders_of_splits_are_splits(tmp_path):
    for number in range(6):
        lines.write(tmp_path / "drives" / f"drive{number}", 12, seed=number)
    splits = load(tmp_path / "drives")
    assert sum(map(len, splits.parts.values())) == 72 and "whole groups, of 6" in splits.card["inventory"]["notes"][-1]
    for name, count in (("train", 30), ("test", 10)):
        lines.write(tmp_path / "split" / name, count)
    splits = load(tmp_path / "split")
    assert len(splits.test) == 10 and len(splits.train) + len(splits.validation) <= 30


def counts(splits):
    return [len(part) for part in splits.parts.values()]


def in_splits(folder, words, header=("image", "angle", "split"), count=12, seed=0):
    """Write pictures and a table that says by turns, in its last column, these words."""
    return lines.write(folder, count, seed, header, more=lambda k: (words[k % len(words)],))


@pytest.mark.parametrize("word", ["trian", "", "3", "train2", "train or test"])
def test_a_word_that_is_no_split_is_an_error_and_no_lost_line(tmp_path, word):
    data = in_splits(tmp_path, ("train", "test", word))
    with pytest.raises(
        cnnkit.DataError, match=rf"values.csv, line 4: the column split says '{word}', which is no split"
    ):
        load(data)


def test_a_column_of_splits_counts_where_it_says_something(tmp_path):
    assert counts(load(in_splits(tmp_path / "case", ("Train", "VAL", " test ", "dev")))) == [3, 6, 3]
    assert sum(counts(load(in_splits(tmp_path / "sets", ("A", "B"), ("image", "angle", "set")), gap=0))) == 12
    one = load(in_splits(tmp_path / "one", ("test",)), gap=0)  # all lines say the same, and are divided
    assert sum(counts(one)) == 12 and all(counts(one))
    with pytest.raises(cnnkit.DataError, match=r"No line of .*values.csv is for training: .* says validation and test"):
        load(in_splits(tmp_path / "two", ("val", "test")))


def test_a_card_that_names_a_split_means_a_column(tmp_path):
    data = in_splits(tmp_path, ("train", "test", "validation"))
    text = """title = "A few"\ntask = "regression"\nlicence = "CC0-1.0"\nreader = "values"\n[splits]\n"""
    card = data / "card.toml"
    card.write_text(
        text
        + """train = { file = "values.csv", split = "train" }\ntest = { file = "values.csv", split = "testing" }\n"""
    )
    assert len(load(card).test) == 4
    lines.write(tmp_path, 12)
    with pytest.raises(cnnkit.DataError, match="values.csv has no column that says which of its lines are for train"):
        load(card)


def test_folders_of_drives_with_a_column_of_splits(tmp_path):
    for number, word in enumerate(("train", "train", "val", "test", "test")):
        in_splits(tmp_path / f"drive{number}", (word,), seed=number)
    splits = load(tmp_path)
    assert counts(splits) == [24, 12, 24]
    assert {splits.test.name(k).split("/")[-3] for k in range(24)} == {"drive3", "drive4"}
    lines.write(tmp_path / "drive9", 6)
    with pytest.raises(
        cnnkit.DataError, match=r"drive9.values.csv has no column that says which split .*drive0.* has one"
    ):
        load(tmp_path)


def test_a_folder_with_two_tables_is_an_error_and_no_lost_folder(tmp_path):
    for number in range(3):
        lines.write(tmp_path / "drives" / f"drive{number}", 6, seed=number)
        lines.write(tmp_path / "split" / ("train", "test", "val")[number], 6, seed=number)
    for folder in ("drives/drive1", "split/train"):
        (tmp_path / folder / "more.csv").write_bytes((tmp_path / folder / "values.csv").read_bytes())
        with pytest.raises(
            cnnkit.DataError, match=f"{folder} has several tables of pictures: more.csv, values.csv. Name"
        ):
            load((tmp_path / folder).parent)


def test_tables_beside_those_of_the_splits_are_left_out_and_said(tmp_path):
    def told(folder):
        return [(entry["examples"], entry["reason"]) for entry in load(folder).card["inventory"]["entries"]]

    data = lines.write(tmp_path / "files", 30)
    for name in ("train", "test", "other"):
        (data / f"{name}.csv").write_bytes((data / "values.csv").read_bytes())
    assert (["other.csv", "values.csv"], "that no split names") in told(data)
    for name in ("train", "test", "more"):
        lines.write(tmp_path / "folders" / name, 30)
    assert (["more/values.csv"], "that no split names") in told(tmp_path / "folders")
    assert not any("no split" in reason for _, reason in told(data / "train.csv"))


def test_a_table_is_parsed_once_for_all_of_its_splits(tmp_path, monkeypatch):
    real, whole = tables.opened, []

    def opened(path, most=None):
        whole.extend([path] * (most is None))
        return real(path, most)

    monkeypatch.setattr(tables, "opened", opened)
    load(lines.write(tmp_path / "plain", 12))
    assert len(whole) == 1
    load(in_splits(tmp_path / "split", ("train", "val", "test")))
    assert len(whole) == 1 + 2  # once to know which splits there are


def test_a_table_without_lines_says_so(tmp_path):
    log(tmp_path, 0)
    with pytest.raises(cnnkit.DataError, match=r"No line of .*driving_log.csv is there. Add some."):
        load(tmp_path)


def test_a_driving_log_may_say_splits(tmp_path):
    words = ("train", "train", "val", "test")
    log(tmp_path, header=(*UDACITY, "split"), more=lambda k: (words[k // 5 % 4],))
    splits = load(tmp_path)
    assert counts(splits) == [90, 15, 15] and splits.train.values.names == ("steering",)
    assert {int(splits.test.name(k)[-8:-4]) // 5 % 4 for k in range(15)} == {3}


def log(folder, count=60, header=UDACITY, path="C:\\Users\\me\\IMG\\{}", sides=True, more=lambda k: ()):
    """Write a driving log as Udacity's simulator does."""
    rng = np.random.default_rng(0)
    (folder / "IMG").mkdir(parents=True)
    rows = []
    for k, angle in enumerate(lines.angles(count)):
        names = [f"{camera}_{k:04d}.jpg" for camera in ("center", "left", "right")]
        for name in names[: 3 if sides else 1]:
            cv2.imwrite(str(folder / "IMG" / name), lines.picture(angle, rng))
        rows.append((*(path.format(name) for name in names), angle / 40, 0.5, 0, 20 + k % 3, *more(k)))
    lines.table(folder / "driving_log.csv", header, rows)
    return folder


@pytest.mark.parametrize("header", [UDACITY, ()])
def test_a_driving_log_has_side_cameras_in_training_alone(tmp_path, header):
    splits = load(log(tmp_path, header=header))
    assert splits.train.values.names == ("steering",) and splits.train.values.negated == (True,)
    for part in (splits.test, splits.validation):
        assert len(part) and all("center" in part.name(k) for k in range(len(part)))
    train = splits.train
    for k in range(len(train)):
        camera, moment = train.name(k).rsplit("IMG", 1)[1][1:-4].split("_")
        expected = lines.angles(60)[int(moment)] / 40 + {"center": 0, "left": 0.2, "right": -0.2}[camera]
        assert train.numbers()[k, 0] == pytest.approx(expected, abs=1e-6)
    assert {train.name(k).rsplit("IMG", 1)[1][1:2] for k in range(len(train))} == {"c", "l", "r"}
    scored = load(tmp_path, whole=True).train
    assert len(scored) == 60 and all("center" in scored.name(k) for k in range(60))
    whole = load(tmp_path, side_angle=0)
    assert all("center" in whole.train.name(k) for k in range(len(whole.train)))


def test_a_driving_log_without_side_cameras_or_with_several_values(tmp_path):
    splits = load(log(tmp_path / "one", sides=False), values="steering,speed")
    assert splits.train.values.names == ("steering", "speed") and splits.train.values.negated == (True, False)
    assert any("side cameras are not there" in line for line in splits.card["inventory"]["notes"])
    assert len(cnnkit.load_data(tmp_path / "one", task="regression", side_angle=0.1).train)
