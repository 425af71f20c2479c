"""`predict` of masks: what it says, and every file that it writes."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit import opening
from cnnkit.device.segmentation import Plan
from cnnkit.device.stored import read_indices, read_pages
from cnnkit.errors import ArtifactError, CnnkitError, ConfigError, DataError
from cnnkit.reporter import Silent
from cnnkit.tasks.segmentation import NOTICE, predict
from cnnkit.tasks.segmentation import drawn as module
from cnnkit.tasks.segmentation.predict import draw

NAMES = ("organ", "lesion")


class Levels:
    """An organ is what is brighter than 100, a lesion what is brighter than 200; a picture is seen whole at 16 px."""

    path = Path("levels.tflite")
    input_shape = (16, 16, 1)

    def __init__(self, plan=None, labels=NAMES, task="segmentation"):
        self.labels, self.calls = labels, 0
        self.metadata = {"app": "scans", "task": task, "segmentation": (plan or Plan()).to_dict()}

    def run_batch(self, seen):
        self.calls += 1
        codes = (seen[..., 0] > 100).astype(int) + (seen[..., 0] > 200)
        return {"scores": np.eye(3, dtype=np.float32)[codes]}


class Heard(Silent):
    """Keeps warnings."""

    def __init__(self):
        self.warnings = []

    def warning(self, text):
        self.warnings.append(text)


def picture():
    """256 px: an organ of 48 px in two pieces, 8 of them a lesion."""
    found = np.zeros((16, 16), np.uint8)
    found[2:6, 2:10] = 150
    found[10:14, 10:14] = 150
    found[3:5, 4:8] = 250
    return found


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder with pictures, and the model that `open_model` opens."""
    monkeypatch.chdir(tmp_path)
    model = Levels()
    monkeypatch.setattr(opening, "open_model", lambda path, app, threads=None, tell=None: model)
    assert cv2.imwrite("a.png", picture())
    assert cv2.imwritemulti("pages.tif", [picture(), np.zeros((16, 16), np.uint8)])
    return model


def run(*inputs, **options):
    options = {key: Path(value) if key in ("out", "results") else value for key, value in options.items()}
    return draw("scans", Path("levels.tflite"), [Path(name) for name in inputs], **options)


ORGAN = {"area": 40, "share": 0.15625, "pieces": 2}
LESION = {"area": 8, "share": 0.03125, "pieces": 1}


class TestAnswers:
    def test_areas_shares_and_pieces_are_counted(self, there):
        (row,) = run("a.png")
        assert row == {"input": "a.png", "width": 16, "height": 16, "labels": {"organ": ORGAN, "lesion": LESION}}

    def test_each_page_is_answered(self, there):
        rows = list(run("pages.tif"))
        assert [row["page"] for row in rows] == [1, 2] and rows[1]["labels"]["organ"]["area"] == 0

    def test_areas_in_mm_are_of_the_training_pictures_pixels_and_say_so(self, there):
        there.metadata["segmentation"] = Plan(spacing=(0.5, 2.0)).to_dict()
        shown = run("a.png").shown()
        assert shown.document["predictions"][0]["labels"]["organ"]["mm2"] == 40.0
        assert shown.document["spacing"] == [0.5, 2.0] and shown.document["spacing_of"] == "the training pictures"
        assert shown.parts[0].columns == ["input", "label", "px", "mm^2", "of the picture", "pieces"]
        assert "0.5 x 2 mm, as the training pictures" in shown.parts[1]

    def test_without_a_distance_of_pixels_nothing_is_said_in_mm(self, there):
        shown = run("a.png", "pages.tif").shown()
        assert shown.parts[0].rows[:2] == [["a.png", "organ", "40", "15.62%", "2"], ["", "lesion", "8", "3.12%", "1"]]
        assert shown.parts[0].rows[4][0] == "pages.tif, page 2" and "spacing" not in shown.document
        assert shown.parts[-1] == shown.document["notice"] == NOTICE

    def test_mirrored_views_are_looked_at_as_labels_permit(self, there):
        list(run("a.png"))
        assert there.calls == 1
        list(run("a.png", mirrors=True))
        assert there.calls == 1 + 4
        there.labels = ("left lung", "lesion")
        list(run("a.png", mirrors=True))
        assert there.calls == 5 + 2  # mirrored from side to side the lung would be the other

    def test_mirrored_views_are_those_that_training_saw(self, there):
        there.metadata["segmentation"] = Plan(mirrored=(0,)).to_dict()
        list(run("a.png", mirrors=True))
        assert there.calls == 2
        there.metadata["segmentation"] = Plan(mirrored=()).to_dict()
        with pytest.raises(ConfigError, match="never saw a mirrored view"):
            run("a.png", mirrors=True)

    def test_overlapping_labels_have_their_own_areas(self, there):
        class Whole(Levels):
            def run_batch(self, seen):
                return {"scores": np.stack([seen[..., 0] > 100, seen[..., 0] > 200], -1).astype(np.float32)}

        plan = Plan(regions=((1, 2), (2,)), order=(1, 2))
        model = Whole(plan)
        there.run_batch, there.metadata = model.run_batch, model.metadata
        (row,) = run("a.png", out="out")
        assert [about["area"] for about in row["labels"].values()] == [48, 8]
        assert json.loads(Path("out/labels.json").read_text())["labels"] == {
            "background": 0,
            "organ": [1, 2],
            "lesion": 2,
        }

    def test_a_picture_of_another_range_of_values_is_named(self, there):
        assert cv2.imwrite("deep.png", picture().astype(np.uint16) * 200)
        with pytest.raises(DataError, match=r"deep\.png cannot be used: its values lie from 0 to 50000, .* bytes"):
            list(run("deep.png"))

    def test_pictures_of_another_size_are_named_and_then_counted(self, there):
        there.metadata["segmentation"] = Plan(lengths=(16, 16, 20), slender=1.0).to_dict()
        for name in "bcdef":
            assert cv2.imwrite(f"{name}.png", cv2.resize(picture(), (80, 80)))
        heard = Heard()
        assert len(list(run("a.png", *(f"{name}.png" for name in "bcdef"), tell=heard))) == 6
        assert [text.split(":")[0] for text in heard.warnings[:3]] == ["b.png", "c.png", "d.png"]
        assert "80x80 px, the longest side of training pictures 16 to 20" in heard.warnings[0]
        assert heard.warnings[3:] == ["2 more pictures are as far from the size of those of training."]

    def test_masks_beside_pictures_are_left_out_and_it_is_said(self, there):
        for folder in ("set/images", "set/masks"):
            Path(folder).mkdir(parents=True)
            assert cv2.imwrite(f"{folder}/a.png", picture())
        heard = Heard()
        assert [row["input"] for row in run("set", tell=heard)] == ["set/images/a.png"]
        assert heard.warnings == ["set: 1 of 2 files are masks or drawn ones by their names, and left out."]

    def test_a_folder_of_masks_alone_is_drawn(self, there):
        Path("masks").mkdir()
        assert cv2.imwrite("masks/a.png", picture())
        assert [row["input"] for row in run("masks")] == ["masks/a.png"]

    def test_what_was_drawn_into_the_folder_is_not_drawn_again(self, there):
        Path("set").mkdir()
        assert cv2.imwrite("set/a.png", picture())
        for _ in range(2):
            assert [row["input"] for row in run("set", out="set")] == ["set/a.png"]
        assert {path.name for path in Path("set").iterdir()} == {
            "a.png",
            "a_mask.png",
            "a_overlay.png",
            "labels.json",
        }


class TestObjects:
    """Objects that are told apart."""

    @pytest.fixture
    def apart(self, there):
        """Two cells that touch: inside 250, border 150; the model says what is what by brightness."""
        there.labels, there.metadata["segmentation"] = ("cell",), Plan(rim=1).to_dict()
        found = np.zeros((16, 16), np.uint8)
        found[4:10, 2:7] = found[4:10, 7:12] = 150
        found[5:9, 3:6] = found[5:9, 8:11] = 250
        there.run_batch = lambda seen: {
            "scores": np.eye(3, dtype=np.float32)[np.where(seen[..., 0] > 200, 1, 2 * (seen[..., 0] > 100))]
        }
        assert cv2.imwrite("cells.png", found)

    def test_they_are_counted_numbered_and_outlined(self, apart):
        shown = run("cells.png", out="out").shown()
        about = {"area": 60, "share": 0.234375, "pieces": 2, "median_area": 30.0}
        assert shown.document["predictions"][0]["labels"] == {"cell": about}
        assert shown.parts[0].columns[-2:] == ["objects", "median px"]
        assert shown.parts[0].rows[0][-2:] == ["2", "30"]
        assert cv2.imread("out/cells_mask.png", cv2.IMREAD_UNCHANGED).dtype == np.uint16
        mask = read_indices("out/cells_mask.png")
        assert np.bincount(mask.ravel()).tolist() == [196, 30, 30] and mask[6, 4] != mask[6, 9]
        about = json.loads(Path("out/labels.json").read_text())
        assert about["objects"] == "cell" and about["labels"] == {"background": 0}
        drawn = cv2.imread("out/cells_overlay.png")[:16, :16, ::-1]
        first, second = sorted((mask[6, 6], mask[6, 7]))
        assert [drawn[6, side].tolist() for side in (6, 7)] == [list(module.colour(k - 1)) for k in (first, second)]
        assert (drawn[12, 12] == 0).all()

    def test_none_have_no_median_and_areas_are_in_mm_too(self, apart):
        there = Plan(rim=1, spacing=(0.5, 0.5)).to_dict()
        predict.opening.open_model(None, None).metadata["segmentation"] = there
        assert cv2.imwrite("dark.png", np.zeros((16, 16), np.uint8))
        cells, none = (row["labels"]["cell"] for row in run("cells.png", "dark.png", results="cells.csv"))
        assert (cells["mm2"], cells["median_mm2"]) == (15.0, 7.5)
        assert (none["pieces"], none["median_area"]) == (0, None) and "median_mm2" not in none
        rows = list(csv.DictReader(Path("cells.csv").open()))
        assert [row["median_area"] for row in rows] == ["30.0", ""]

    def test_more_than_a_mask_holds_are_refused(self, apart, monkeypatch):
        monkeypatch.setattr(module, "MOST", 1)
        with pytest.raises(DataError, match=r"cells\.png has 2 objects; a mask tells 1 apart"):
            list(run("cells.png", out="out"))
        assert len(list(run("cells.png"))) == 1


class TestFiles:
    def test_masks_have_the_codes_and_labels_json_says_what_they_are(self, there):
        (row,) = run("a.png", out="out")
        assert row["mask"] == "out/a_mask.png" and np.bincount(read_indices("out/a_mask.png").ravel()).tolist() == [
            208,
            40,
            8,
        ]
        document = json.loads(Path("out/labels.json").read_text())
        assert document["labels"] == {"background": 0, "organ": 1, "lesion": 2} and document["notice"] == NOTICE

    def test_pages_come_back_as_pages(self, there):
        list(run("pages.tif", out="out"))
        pages = read_pages("out/pages_mask.tif")
        assert len(pages) == 2 and pages[0].any() and not pages[1].any()

    def test_the_overlay_has_the_picture_and_below_what_colours_mean(self, there):
        list(run("a.png", out="out"))
        drawn = cv2.imread("out/a_overlay.png")[..., ::-1]
        assert drawn.shape[0] > 16 and (drawn[:16, :16][2, 2] == module.colour(0)).all()
        below = drawn[16:]
        for place in range(2):
            assert (below == module.colour(place)).all(-1).any()
        assert (below == 0).all(-1).sum() > 50  # letters

    def test_files_of_one_name_do_not_replace_each_other(self, there):
        for name in ("x/a.png", "y/A.PNG"):
            Path(name).parent.mkdir()
            assert cv2.imwrite(name, picture())
        assert [row["mask"] for row in run("a.png", "x", "y/A.PNG", out="out")] == [
            "out/a_mask.png",
            "out/a-2_mask.png",
            "out/A-3_mask.png",
        ]

    def test_results_are_the_document(self, there):
        shown = run("a.png", results="deep/x.json").shown()
        assert json.loads(Path("deep/x.json").read_text()) == shown.document
        assert "Results: deep/x.json" in shown.parts

    def test_a_table_has_a_line_a_label_and_no_number_where_none_is_known(self, there):
        list(run("a.png", "pages.tif", results="x.csv", out="out"))
        with Path("x.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 6 and rows[1]["label"] == "lesion" and rows[1]["area"] == "8" and rows[1]["mm2"] == ""
        assert [row["page"] for row in rows] == ["", "", "1", "1", "2", "2"] and rows[0]["mask"] == "out/a_mask.png"
        assert {row["notice"] for row in rows} == {NOTICE}


class TestErrors:
    def test_what_is_wrong_is_said_before_any_work(self, there):
        Path("folder.csv").mkdir()
        for options, message in (
            ({"results": "x.txt"}, "no format has this suffix. End it in .json or .csv"),
            ({"results": "folder.csv"}, "is a folder"),
            ({"out": "a.png"}, "is a file; a folder is needed"),
        ):
            with pytest.raises(DataError, match=message):
                run("a.png", **options)
        with pytest.raises(DataError, match="nothing to predict"):
            run()
        with pytest.raises(DataError, match=r"nothing\.png: there is no such file"):
            run("a.png", "nothing.png")
        with pytest.raises(ConfigError, match="a mask has all its labels"):
            run("a.png", top=2)
        assert not there.calls and not Path("x.txt").exists()

    def test_what_a_person_made_is_not_replaced(self, there):
        Path("out").mkdir()
        Path("out/labels.json").write_text("{}")
        with pytest.raises(CnnkitError, match=r"labels\.json would be overwritten"):
            run("a.png", out="out")
        Path("mine.csv").write_text("a\n1\n")
        with pytest.raises(CnnkitError, match="another `results`"):
            run("a.png", results="mine.csv")

    def test_a_repeated_command_replaces_its_own_files(self, there):
        for _ in range(2):
            list(run("a.png", out="out", results="x.json"))

    def test_a_mask_never_replaces_an_input(self, there):
        Path("a.png").rename("a_mask.png")
        assert cv2.imwrite("a.png", picture())
        with pytest.raises(DataError, match="would replace an input"):
            run("a.png", "a_mask.png", out=".")

    def test_a_damaged_picture_is_named_or_left_out_and_what_was_found_is_kept(self, there):
        Path("bad.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
        with pytest.raises(DataError, match=r"bad\.png"):
            list(run("a.png", "bad.png", results="x.json"))
        assert len(json.loads(Path("x.json").read_text())["predictions"]) == 1
        shown = run("bad.png", "a.png", "nothing.png", skip_bad=True).shown()
        assert len(shown.document["predictions"]) == 1 and len(shown.document["skipped"]) == 2

    @pytest.mark.parametrize("skip", [False, True])
    def test_a_failure_leaves_nothing_half_written(self, there, skip):
        Path("bad.png").write_bytes(b"nothing")
        answers = run("bad.png", out="deep/out", skip_bad=skip)
        if skip:
            assert list(answers) == []
        else:
            with pytest.raises(DataError, match="bad.png"):
                list(answers)
        assert not Path("deep").exists()

    @pytest.mark.parametrize("what", ["write_mask", "write_bytes"])
    def test_a_mask_without_its_overlay_is_not_left(self, there, monkeypatch, what):
        Path("out").mkdir()
        owner = module if what == "write_mask" else module.files
        real = getattr(owner, what)

        def full(path, *rest, **options):
            if "b_" in str(path):
                raise CnnkitError("No space left.")
            return real(path, *rest, **options)

        monkeypatch.setattr(owner, what, full)
        assert cv2.imwrite("b.png", picture())
        with pytest.raises(CnnkitError, match="No space"):
            list(run("b.png", "a.png", out="out"))
        assert list(Path("out").iterdir()) == []
        with pytest.raises(CnnkitError, match="No space"):
            list(run("a.png", "b.png", out="out"))
        assert sorted(path.name for path in Path("out").iterdir()) == ["a_mask.png", "a_overlay.png", "labels.json"]

    @pytest.mark.parametrize("letter", ["n", "ü"])
    def test_long_names_are_shortened(self, there, letter):
        names = [letter * (240 // len(letter.encode())) + end for end in (".png", "x.png")]
        for name in names:
            Path(name).write_bytes(Path("a.png").read_bytes())
        rows = list(run(".", out="out"))
        assert len(rows) == 5, "with a.png and two pages"
        assert len({row["mask"] for row in rows}) == 4
        assert all(Path(row["mask"]).is_file() and Path(row["overlay"]).is_file() for row in rows)

    def test_other_channels_are_one_line(self, there):
        assert cv2.imwritemulti("x.tif", [picture()])
        np.save("x.npy", picture())
        there.input_shape = (16, 16, 4)
        assert cv2.imwrite("colours.png", np.dstack([picture(), picture() // 2, picture() // 3]))
        with pytest.raises(DataError, match=r"colours\.png cannot be used: it has 3 channels, the model takes 4"):
            list(run("colours.png"))

    def test_a_model_of_another_task_is_refused(self, there):
        there.metadata["task"] = "classification"
        with pytest.raises(ArtifactError, match="draws no masks"):
            run("a.png")
        there.metadata = {"task": "segmentation"}
        with pytest.raises(ArtifactError, match="does not say how pictures meet it"):
            run("a.png")


def test_the_command_takes_its_options(there, monkeypatch):
    from cnnkit.registry import DEVICE, INPUTS, TASKS
    from cnnkit_scans.cli import main

    halves = TASKS.half("segmentation", DEVICE, "x"), INPUTS.half("image", DEVICE, "x")
    monkeypatch.setattr(opening, "kinds_of", lambda app, artifact, unsaid="": halves)
    monkeypatch.setattr(opening, "split", lambda app, inputs, tell=None: (Path("levels.tflite"), inputs))
    result = CliRunner().invoke(main, ["predict", "a.png", "--out", "out", "--results", "x.csv", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["notice"] == NOTICE and Path("x.csv").exists()
