"""What identifies a patient is in no file of ours but the DICOM SEG, which has its source's patient module."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit.device.volumes import dicom
from cnnkit_scans.cli import main
from tests.device.volumes import series_of
from tests.tasks.segmentation.volumes.small_series import mark, series
from tests.tasks.segmentation.volumes.small_volumes import folder

SECRET = "ZQXW4711"
SMALL = "epochs = 1\noptions = { width = 4 }\nvalidation = 0.2\nsplit_seed = 1\n"
UIDS = str(series_of.uid("study"))[:30]  # of all that the tests write


def planted(root):
    """Patients whose files, folders and headers all name them; the first lacks a slice, the last has no mask."""
    for seed in range(6):
        where = root / f"{SECRET}_{seed}" / f"ct {SECRET}"
        more = {
            "PatientName": f"{SECRET}^Jane",
            "PatientBirthDate": "19700203",
            "StudyDescription": f"of {SECRET}",
            "SeriesDescription": SECRET,
            "AccessionNumber": SECRET,
        }
        codes = series(where, seed, who=f"{SECRET}{seed}", more=more)
        if seed < 5:
            mark(root / f"{SECRET}_{seed}" / f"{SECRET}.seg.dcm", codes, where)
        for number, file in enumerate(sorted(where.iterdir())):
            file.rename(where / f"{SECRET}_{number}.dcm")
    sorted((root / f"{SECRET}_0" / f"ct {SECRET}").iterdir())[3].unlink()
    return root


def run(*words, fails=False):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert (result.exit_code != 0) == fails, result.output + str(result.exception)
    return result


def found_in(files, *secrets):
    """Return the files that hold one of these texts, in their names, in them, or packed in them."""
    bad = []
    for file in files:
        held = [file.name.encode(), file.read_bytes()]
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as packed:
                held += [packed.read(name) for name in packed.namelist()]
        if any(secret.encode() in part or secret.encode("utf-16-le") in part for part in held for secret in secrets):
            bad.append(file.name)
    return bad


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A small run over what was planted, all its commands, and what they said."""
    root = tmp_path_factory.mktemp("private")
    data = planted(root / "data")
    (root / "small.toml").write_text(SMALL)
    said = {}
    how = ["--skip-bad", "--config", root / "small.toml", "--out", root / "run"]
    said["train"] = run("train", "--data", data, *how)
    said["evaluate"] = run("evaluate", root / "run", "--json")
    run("export", root / "run", "--precision", "float32", "--tolerance", "100")
    one = root / "in" / "scan"
    one.mkdir(parents=True)
    for number, file in enumerate(sorted((data / f"{SECRET}_1" / f"ct {SECRET}").iterdir())):
        (one / f"{number}.dcm").write_bytes(file.read_bytes())
    model, found = root / "run" / "export" / "scans-float32.tflite", root / "found"
    run("predict", model, root / "in", "--out", found, "--results", found / "table.csv")
    run("predict", model, root / "in", "--results", found / "table.json")
    run("report", root / "run")
    return root, said


def test_no_file_names_a_patient(done):
    root, said = done
    files = [path for name in ("run", "found") for path in (root / name).rglob("*") if path.is_file()]
    assert len(files) > 10
    assert found_in(files, SECRET, "Jane", "19700203", UIDS) == ["scan_mask.dcm"]  # the DICOM SEG
    assert str(dicom.header(root / "found" / "scan_mask.dcm").PatientID) == f"{SECRET}1"
    assert SECRET not in said["evaluate"].stdout


def test_files_number_volumes_in_the_order_of_the_data_and_the_console_says_which_is_which(done):
    root, said = done
    numbers = set(re.findall(r"case_\d+", (root / "run" / "report.html").read_text()))
    assert len(numbers) == 1 and numbers < {f"case_000{number}" for number in range(2, 6)}  # the first lacks a slice
    (number,) = numbers
    where = f"{SECRET}_{int(number[-1]) - 1}/ct {SECRET}"
    for command in ("train", "evaluate"):
        assert f"{number} is {where}" in " ".join(said[command].output.split())
    assert f"Left out {SECRET}_0/ct {SECRET} (a slice is missing" in " ".join(said["train"].output.split())
    kept = json.loads((root / "run" / "run.json").read_text())["data"]["inventory"]
    assert {row["reason"]: row["count"] for row in kept["entries"]} == {"that cannot be used": 1, "without a mask": 1}


def test_what_changed_in_data_without_names_is_counted(done):
    root, _ = done
    data = root / "data"
    shifted = data / f"{SECRET}_2" / "another.nii.gz"
    shifted.write_bytes(b"x")
    try:
        lost = next((data / f"{SECRET}_3" / f"ct {SECRET}").iterdir())
        kept = lost.read_bytes()
        lost.unlink()
        result = run("evaluate", root / "run", "--skip-bad", fails=True)
        text = " ".join(result.stderr.split())
        assert "1 new or changed" in text and "1 gone or changed" in text and "Traceback" not in text
    finally:
        shifted.unlink()
        lost.write_bytes(kept)
    run("evaluate", root / "run")


def test_files_of_other_formats_are_numbered_too(tmp_path):
    from cnnkit.tasks.segmentation.images import Masked
    from cnnkit.tasks.segmentation.loading import load

    root = folder(tmp_path / "data", count=4)
    for kind in ("images", "masks"):
        for file in (root / kind).iterdir():
            file.rename(file.with_name(f"{SECRET}_{file.name}"))
    splits = load(str(root), validation=0, test=0)
    records = splits.train
    assert [records.alias(k) for k in range(4)] == [f"case_{k + 1:04}" for k in range(4)]
    assert records.name(2) == f"images/{SECRET}_case02.nii.gz"
    Masked().write_folds(tmp_path, records, [0, 1, 0, 1])
    assert json.loads((tmp_path / "splits_final.json").read_text())[0] == {
        "train": ["case_0002", "case_0004"],
        "val": ["case_0001", "case_0003"],
    }
    both = records.plus(records.take(np.array([1])), records.label_names)
    assert both.alias(4) == "case_0002"


def test_folds_of_nnunets_layout_keep_its_names(tmp_path):
    from cnnkit.tasks.segmentation.loading import load

    plain, root = folder(tmp_path / "plain", count=3), tmp_path / "Task"
    for old, new, end in (("images", "imagesTr", "_0000"), ("masks", "labelsTr", "")):
        (root / new).mkdir(parents=True)
        for file in (plain / old).iterdir():
            file.rename(root / new / f"{file.name[:6]}{end}.nii.gz")
    table = {"labels": {"background": 0, "ball": 1, "box": 2}, "channel_names": {"0": "T1"}, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(table))
    records = load(str(root), validation=0, test=0).train
    assert records.key(1) == "case01" and records.alias(1) == "case_0002"
    assert Path(records.name(1)).name == "case01_0000.nii.gz"
