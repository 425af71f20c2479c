"""`cnnkit text`: the contract of every app, and what is special about texts: labels, vocabulary, thresholds, bad files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit.device.model import read_metadata
from cnnkit_text.cli import main
from tests import toy_texts
from tests.contracts import AppContract

SMALL = """
model = "kim-rand"
epochs = 8
batch_size = 24
learning_rate = 0.03
validation = 0.2
options = { width = 12, regions = [2, 3], maps = 8, dropout = 0.2 }
"""
HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib", "scipy", "h5py", "jax", "cv2")
FOOD, MUSIC = "kaban soup and bread", "the choir and a drum kagol"


class Commands:
    """Running commands of the app, one after another."""

    run = AppContract.run
    fails = AppContract.fails
    group = main

    def document(self, *words, code=0):
        return json.loads(self.run(*words, "--json", code=code).stdout)

    def piped(self, content, *words):
        """Run a command with bytes on standard input; return standard output's lines."""
        result = CliRunner().invoke(main, [str(word) for word in words], input=content)
        assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
        return result.stdout.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data sets and the settings that train on them in seconds."""
    path = tmp_path_factory.mktemp("texts")
    (path / "small.toml").write_text(SMALL)
    (path / "toy.csv").write_text(toy_texts.table(toy_texts.rows(200)))
    (path / "tags.csv").write_text(
        toy_texts.table([row for row in toy_texts.tagged(300) if row[0]], ("tags", "sentence"))
    )
    rows = ["soup", "bread", "goal", "drum", "kaban", "miden"]
    numbers = np.random.default_rng(0).normal(0, 0.3, (len(rows), 12))
    lines = [f"{word} " + " ".join(f"{x:.4f}" for x in row) for word, row in zip(rows, numbers)]
    (path / "glove.txt").write_text("\n".join(lines) + "\n")
    return path


class TestText(Commands, AppContract):
    app = "text"

    @pytest.fixture(scope="class", autouse=True)
    def data(self, request, folder):
        request.cls.folder = folder
        request.cls.small = ("--config", str(folder / "small.toml"), "--data", str(folder / "toy.csv"))
        request.cls.file = Path("runs/text/latest/export/text-float32.tflite")

    def inputs(self, folder):
        (folder / "lines.txt").write_text("a goal by the team\n\nthe last race\n")
        return [FOOD, MUSIC, str(folder / "lines.txt")]

    def spoil(self, monkeypatch):
        from cnnkit.export import container

        whole = container.appendix

        def shuffled(metadata, more=None):  # the vocabulary of another model
            lines = metadata["text"]["vocabulary"].splitlines()
            words, ids = zip(*(line.split() for line in lines[2:]))
            mixed = [f"{word} {key}" for word, key in zip(words, reversed(ids))]
            return whole({**metadata, "text": {**metadata["text"], "vocabulary": "\n".join([*lines[:2], *mixed, ""])}})

        monkeypatch.setattr(container, "appendix", shuffled)

    def explains(self):
        found = self.document("explain", FOOD, "and//or a choir/")
        assert [entry["text"] for entry in found["texts"]] == [FOOD, "and//or a choir/"], "as they were given"
        first, second = found["texts"]
        assert [word["text"] for word in first["words"]] == FOOD.split()
        told = {word["text"]: word["occlusion"] for word in first["words"]}
        assert first["label"] == "food" and max(told, key=told.get) in ("soup", "bread")
        assert second["label"] == "music" and not second["words"][0]["known"]
        assert {row["name"] for row in found["layers"]} >= {"ids", "embedding", "region2", "logits"}
        output = self.run("explain", FOOD).output
        assert "food" in output and "soup" in output
        assert len(self.document("explain")["texts"]) == 5, "of the test split"
        assert "empty text" in self.fails("explain", " ")

    def test_it_learns_and_says_what_it_found(self, home):
        run = json.loads(Path("runs/text/latest/run.json").read_text())
        scores = run["scores"]["test"]
        assert run["task"] == "classification" and run["data"]["labels"] == list(toy_texts.LABELS)
        assert scores["accuracy"] > 0.8 and scores["sure"]["answered"] >= 0.5
        against = scores["baseline"]["against"]
        assert 0 <= against["p"] <= 1 and against["only_model"] + against["only_baseline"] <= scores["count"]
        page = Path("runs/text/latest/report.html").read_text()
        assert ">None<" not in page and ">nan" not in page.lower()

    def test_it_was_trained_on_validation_texts_too_and_says_so(self, home):
        run = json.loads(Path("runs/text/latest/run.json").read_text())
        sizes, known = run["data"]["sizes"], read_metadata(Path("runs/text/latest/model.keras"))
        assert run["refit"]["records"] == sizes["train"] + sizes["validation"] and sizes["validation"] > 20
        again = json.loads(Path("runs/text/latest/refit/run.json").read_text())
        assert again["training"]["epochs"] == run["training"]["best_epoch"] and not again["settings"]["refit"]
        assert known["input"]["ids"] == again["settings"]["options"]["size"] >= run["settings"]["options"]["size"]
        assert read_metadata(Path("runs/text/latest/refit/model.keras")).get("temperature") is None
        assert f"{run['refit']['records']:,} texts" in run["scores"]["test"]["baseline"]["name"]
        page = Path("runs/text/latest/report.html").read_text()
        assert f"trained anew for as many epochs on all {run['refit']['records']:,} texts" in page
        for artifact in ("runs/text/latest", "runs/text/latest/export/text-float32.tflite"):
            line = self.fails("evaluate", artifact, "--split", "validation")
            assert "was trained on its validation split too" in line and "--no-refit" in line

    def test_going_on_with_the_same_data_warns_of_its_validation_texts(self, home, tmp_path):
        words = ("--data", self.folder / "toy.csv", "--weights", "runs/text/latest", "--epochs", "1", "--out")
        output = self.run("train", *words, tmp_path / "more", "--config", self.folder / "small.toml").output
        assert "was trained on these validation records too" in output

    def test_vocabulary_temperature_and_confidence_travel_inside_every_artifact(self, home):
        found = [read_metadata(Path("runs/text/latest/model.keras"))]
        found += [read_metadata(path) for path in sorted(Path("runs/text/latest/export").glob("*.tflite"))]
        assert len(found) == 4
        for metadata in found:
            assert metadata["text"] == found[0]["text"] and metadata["text"]["margin"] == 8
            assert 0.1 <= metadata["temperature"] <= 10 and 0 <= metadata["sure"] <= 1
        assert "soup " in found[0]["text"]["vocabulary"] and found[0]["input"]["ids"] == found[0]["text"]["size"]

    def test_predict_answers_texts_files_and_standard_input_alike(self, home, tmp_path):
        texts = [FOOD, MUSIC, "team team goal", "two\ttabs soup bread"]
        (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(texts).encode())
        wanted = ["food", "music", "sport", "food"]
        given = self.document("predict", *texts)["predictions"]
        assert [row["label"] for row in given] == wanted and [row["input"] for row in given] == texts
        assert [row["label"] for row in self.document("predict", tmp_path / "a.txt")["predictions"]] == wanted
        rows = [line.split("\t") for line in self.piped("\n".join(texts).encode(), "predict", self.file, "-")]
        assert [row[0] for row in rows] == wanted and all(len(row) == 4 for row in rows)
        assert [float(row[1]) for row in rows] == pytest.approx([row["score"] for row in given], abs=1e-4)
        assert [row[3] for row in rows] == [text.replace("\t", " ") for text in texts]
        assert "food" in self.run("predict", FOOD).output

    def test_not_sure_below_the_models_confidence_or_the_one_asked_for(self, home):
        unsure, sure = (
            self.document("predict", FOOD, "--min-confidence", least)["predictions"][0] for least in ("1", "0")
        )
        assert (unsure["sure"], sure["sure"]) == (False, True) and unsure["label"] == sure["label"]
        assert "not sure: food" in self.run("predict", FOOD, "--min-confidence", "1").output
        assert "not sure" in self.piped(FOOD.encode(), "predict", "-", "--min-confidence", "1")[0]
        assert "not sure" not in self.run("predict", FOOD, "--min-confidence", "0").output

    def test_top_shows_the_best_labels_in_their_order(self, home):
        (row,) = self.document("predict", FOOD, "--top", "9")["predictions"]
        scores = [entry["score"] for entry in row["top"]]
        assert len(scores) == 3 and scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1, abs=1e-4)
        (line,) = self.piped(FOOD.encode(), "predict", "-", "--top", "2")
        assert line.startswith("food, ") and line.count("\t") == 3

    def test_any_text_gets_an_answer(self, home):
        strange = [
            "",
            " ",
            "\u4e2d\u6587",
            "a\u0000b",
            "soup " * 3000,
            "x" * 5000,
            "\U0001f600",
            "[bold]soup[/bold] bread",
        ]
        rows = self.document("predict", *strange)["predictions"]
        assert [row["input"] for row in rows] == strange and all(0 < row["score"] <= 1 for row in rows)
        assert rows[-1]["label"] == "food"
        first = self.document("predict", "soup " * 3000)["predictions"]
        assert first[0]["label"] == "food", "a long text is no path"

    def test_lines_that_cannot_be_read_are_named(self, home, tmp_path):
        (tmp_path / "latin.txt").write_bytes("soup\nbrühe\n".encode("latin-1"))
        assert "latin.txt, line 2 is not UTF-8" in self.fails("predict", tmp_path / "latin.txt")
        (tmp_path / "long.txt").write_bytes(b"soup\n" + b"a " * 600_000)
        assert "long.txt, line 2 is longer than 1 MB" in self.fails("predict", tmp_path / "long.txt")
        assert "nothing to predict" in self.fails("predict", self.file)
        (tmp_path / "empty.txt").write_text("")
        assert self.run("predict", tmp_path / "empty.txt").stdout == ""

    def test_predict_needs_neither_tensorflow_nor_opencv(self, home, tmp_path):
        code = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY!r}))  # importing any of these now fails
from cnnkit_text.cli import main
main(sys.argv[1:])
"""
        for words, lines in ((["-"], [FOOD, MUSIC] * 70), ([FOOD, "--json"], [])):
            command = [sys.executable, "-c", code, "predict", str(self.file), *words]
            done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert len(done.stdout.splitlines()) == len(lines) or json.loads(done.stdout)["predictions"]

    def test_predict_from_a_trained_model_that_was_not_exported(self, home):
        """In a process of its own, which has not imported the layers."""
        command = [sys.executable, "-m", "cnnkit_text.cli", "predict", "runs/text/latest/model.keras", FOOD, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        trained, device = json.loads(done.stdout), self.document("predict", self.file, FOOD)
        assert trained["predictions"][0]["score"] == pytest.approx(device["predictions"][0]["score"], abs=1e-4)

    def test_predict_is_a_function_that_prints_nothing(self, home, tmp_path, capfd):
        from cnnkit.verbs.predict import predict

        texts = [FOOD, MUSIC, "", "xyzzy"] * 3
        (tmp_path / "lines.txt").write_text("".join(f"{text}\n" for text in texts))
        expected = self.document("predict", self.file, *[text or " " for text in texts])["predictions"]
        lines = self.run("predict", self.file, tmp_path / "lines.txt").stdout.splitlines()
        capfd.readouterr()
        found = predict("text", [self.file, str(tmp_path / "lines.txt")])
        first = next(found)
        assert (
            found.streams and first["input"] == FOOD and first["label"] == "food" and first["top"] == expected[0]["top"]
        )
        rest = list(found)
        assert [row["label"] for row in (first, *rest)] == [row["label"] for row in expected]
        again = predict("text", [self.file, str(tmp_path / "lines.txt")])
        assert [line for block in again.lines() for line in block] == lines
        few = predict("text", [self.file, FOOD])
        assert not few.streams and few.shown().document["predictions"] == expected[:1]
        assert capfd.readouterr() == ("", "")

    def test_blocks_that_are_scored_side_by_side_come_back_in_order(self, home, monkeypatch):
        from cnnkit.inputs.text import predict

        rows = [f"{number} {(FOOD, MUSIC)[number % 3 % 2]}" for number in range(100)]
        content = "".join(f"{row}\n" for row in rows).encode()
        whole = self.piped(content, "predict", self.file, "-")
        monkeypatch.setattr(predict, "BLOCK", 7)
        for threads in (1, 3):
            lines = self.piped(content, "predict", self.file, "-", "--threads", threads)
            assert [line.split("\t")[3] for line in lines] == rows
            assert [line.split("\t")[0] for line in lines] == [line.split("\t")[0] for line in whole]

    def test_columns_of_other_data_can_be_named(self, home, tmp_path):
        table = toy_texts.table(toy_texts.rows(90, 7), ("kind", "words")).splitlines()
        rows = [f"{line},{(line * 3).replace(',', ' ') if k else 'copy'}" for k, line in enumerate(table)]
        (tmp_path / "other.csv").write_text("\n".join(rows) + "\n")
        named = ("--data", tmp_path / "other.csv", "--text", "words", "--label", "kind")
        assert self.document("evaluate", *named)["accuracy"] > 0.8
        assert "no column 'nosuch'" in self.fails("evaluate", *named[:4], "--label", "nosuch")

    def test_other_data_is_scored_by_the_names_of_its_labels(self, home, tmp_path):
        found = [("sport" if name == "sport" else "food", text) for name, text in toy_texts.rows(90, 7, toy_texts.LABELS)
                 if name != "music"]  # fmt: skip
        (tmp_path / "other.csv").write_text(toy_texts.table(found, ("label", "text")))
        scores = self.document("evaluate", "--data", tmp_path / "other.csv", "--split", "train")
        assert scores["accuracy"] > 0.8 and set(scores["per_class"]) == set(toy_texts.LABELS)
        (tmp_path / "new.csv").write_text(toy_texts.table(found).replace("sport,", "play,"))
        assert "labels that the model does not know: play" in self.fails("evaluate", "--data", tmp_path / "new.csv")
        rows = ["__label__food __label__music soup and a song\n", "__label__sport a goal\n", "__label__music a drum\n"]
        (tmp_path / "several.txt").write_text("".join(rows[k % 3].replace("a ", f"a{k} ") for k in range(60)))
        line = self.fails("evaluate", "--data", tmp_path / "several.txt")
        assert "several labels a text" in line and "one label a text" in line

    def test_a_continued_run_reads_as_the_first_did_and_keeps_its_labels_and_data(self, home, tmp_path):
        rows = [("food", f"fresh {text}") for _, text in toy_texts.rows(40, 8, ("food",))]
        rows += [("art", f"painting {text}") for _, text in toy_texts.rows(40, 9, ("sport",))]
        (tmp_path / "new.csv").write_text(toy_texts.table(rows))
        words = ("--data", tmp_path / "new.csv", "--weights", "runs/text/latest", "--epochs", "1", "--out")
        output = self.run("train", *words, tmp_path / "kept", "--replay").output
        assert "The tokenizer of the model that is continued" in output and "loaded from" in output
        run = json.loads((tmp_path / "kept/run.json").read_text())
        before = read_metadata(Path("runs/text/latest/model.keras"))
        assert run["settings"]["model"] == "kim-rand" and run["settings"]["options"]["maps"] == 8
        assert read_metadata(tmp_path / "kept/model.keras")["text"] == before["text"]
        assert run["data"]["labels"] == ["food", "music", "sport", "art"]
        assert run["data"]["sizes"]["train"] > 160
        assert "3 of 4 classes copied by name" in " ".join(run["weights"]["notes"])
        again = self.document("evaluate", tmp_path / "kept")
        assert again["accuracy"] == run["scores"]["test"]["accuracy"]

    def test_settings_of_a_run_train_on_other_data_with_its_own_vocabulary(self, home, tmp_path):
        rows = [(name, f"{text} extra{k}") for k, (name, text) in enumerate(toy_texts.rows(90, 5))]
        (tmp_path / "more.csv").write_text(toy_texts.table(rows))
        words = ("--config", "runs/text/latest/run.json", "--data", tmp_path / "more.csv", "--epochs", "1")
        self.run("train", *words, "--out", tmp_path / "run")
        size = json.loads((tmp_path / "run/refit/run.json").read_text())["settings"]["options"]["size"]
        assert size == read_metadata(tmp_path / "run/model.keras")["text"]["size"]
        assert size > json.loads(Path("runs/text/latest/run.json").read_text())["settings"]["options"]["size"] + 30


class TestTags(Commands):
    """Several labels a text, from the file to the device."""

    @pytest.fixture(autouse=True)
    def inside(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_from_the_file_to_the_device(self, folder):
        words = ("--data", folder / "tags.csv", "--config", folder / "small.toml", "--separator", "|")
        scores = self.document("train", *words, "--out", "run")["scores"]["test"]
        run = json.loads(Path("run/run.json").read_text())
        assert run["task"] == "multilabel" and scores["micro_f1"] > 0.7 and "micro_f1" in scores["baseline"]
        exported = self.document("export", "run", "--precision", "float32,int8", "--tolerance", "100")
        assert set(exported["artifacts"]) == {"float32", "int8"}
        thresholds = list(scores["thresholds"].values())
        for path in (Path("run/model.keras"), *Path("run/export").glob("*.tflite")):
            metadata = read_metadata(path)
            assert metadata["thresholds"] == thresholds and metadata["task"] == "multilabel", path
        device = self.document("evaluate", "run/export/text-float32.tflite")
        assert device["micro_f1"] == pytest.approx(scores["micro_f1"], abs=0.02)
        rows = self.document("predict", "run", "goal match and a soup with bread", "kaban loden")["predictions"]
        assert {entry["label"] for entry in rows[0]["top"]} >= {"sport", "food"}
        for entry in rows[0]["top"]:
            assert entry["score"] >= scores["thresholds"][entry["label"]]
        assert rows[1]["label"] is None or len(rows[1]["top"]) < 3
        (line,) = self.piped(b"goal match and a soup with bread", "predict", "run", "-")
        assert "sport" in line.split("\t")[0] and ", " in line.split("\t")[0]
        everything = self.document("predict", "run", "kaban", "--threshold", "0")["predictions"][0]["top"]
        assert len(everything) == 3
        assert "soup" in self.run("explain", "run", "soup and bread").output
        one = self.document("evaluate", "run", "--data", folder / "toy.csv")  # read with the run's separator
        assert one["micro_f1"] > 0.7 and set(one["per_class"]) == {"food", "music", "sport"}
        more = ("--data", folder / "tags.csv", "--separator", "|", "--weights", "run", "--epochs", "1", "--out", "more")
        self.run("train", *more)
        again = json.loads(Path("more/run.json").read_text())
        assert again["settings"]["model"] == "kim-rand" and again["task"] == "multilabel"
        assert "--class-weights is for one label" in self.fails("train", *words, "--class-weights", "--out", "no")
        assert not Path("no").exists()


class TestTraining(Commands):
    """Options of `train`."""

    @pytest.fixture(autouse=True)
    def inside(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_a_fold_of_the_default_network(self, folder):
        words = ("--data", folder / "toy.csv", "--fold", "3/10", "--epochs", "2", "--out")
        scores = self.document("train", *words, "run")["scores"]["test"]
        run = json.loads(Path("run/run.json").read_text())
        assert run["data"]["sizes"]["test"] == 20 == scores["count"] and run["settings"]["model"] == "default"
        assert scores["accuracy"] > 0.5
        assert self.document("evaluate", "run")["accuracy"] == scores["accuracy"], "the same fold again"
        self.run("export", "run", "--precision", "float32")
        assert self.document("predict", "run", "soup bread salt")["predictions"][0]["label"] == "food"
        assert len(self.document("bench", "run", "--runs", "3")["models"]) == 1

    @pytest.mark.slow
    def test_validation_texts_stay_out_where_that_is_asked_or_the_source_held_them_out(self, folder):
        small = ("--config", folder / "small.toml", "--epochs", "1")
        output = self.run("train", "--data", folder / "toy.csv", *small, "--no-refit", "--out", "run").output
        assert "Trained anew" not in output and not Path("run/refit").exists()
        assert 0 < self.document("evaluate", "run", "--split", "validation")["accuracy"] <= 1
        Path("own").mkdir()
        for seed, split in enumerate(("train", "val", "test")):
            Path(f"own/{split}.csv").write_text(toy_texts.table(toy_texts.rows(60, seed)))
        self.run("train", "--data", "own", *small, "--out", "other")
        run = json.loads(Path("other/run.json").read_text())
        assert run["settings"]["refit"] and run["data"]["sizes"]["validation"] == 60 and "refit" not in run
        self.run("train", "--data", folder / "toy.csv", *small, "--validation", "0", "--out", "third")
        assert "refit" not in json.loads(Path("third/run.json").read_text())

    def test_a_training_that_runs_away_is_not_done_again(self, folder):
        words = (
            "--data",
            folder / "toy.csv",
            "--config",
            folder / "small.toml",
            "--learning-rate",
            "1e30",
            "--out",
            "run",
        )
        self.run("train", *words)
        run = json.loads(Path("run/run.json").read_text())
        assert run["training"]["best_epoch"] == 0 and "smaller learning rate" in run["training"]["stopped"]
        assert "refit" not in run and not Path("run/refit").exists()

    def test_a_time_budget_and_a_limit_count_both_trainings(self, folder, monkeypatch):
        from cnnkit import training
        from tests.test_pace import Clock

        words = ("--data", folder / "toy.csv", "--config", folder / "small.toml", "--limit", "100", "--minutes", "1")
        clock, budget = Clock(0.15), training.Budget
        monkeypatch.setattr(training, "Budget", lambda seconds, began, **rest: budget(seconds, 0.0, clock, **rest))
        output = self.run("train", *words, "--out", "run").output
        run = json.loads(Path("run/run.json").read_text())
        validation = run["data"]["sizes"]["validation"]
        assert run["data"]["sizes"]["train"] == 100 and run["refit"]["records"] == 100 + validation
        assert run["settings"]["minutes"] == 1 and clock.now < 65, "both are inside"
        assert run["training"]["stopped"] == "time budget of 1 minutes used" and run["training"]["rate_at_end"] < 0.05
        assert run["refit"]["epochs"] <= run["training"]["best_epoch"] + 0.5
        assert "1 minutes in all" in output and "both trainings until about" in output
        assert "Trained anew on all" in output and "(--no-refit leaves this out)" in output
        assert " of 0 epochs" not in output

    def test_a_budget_too_small_is_told_and_the_second_training_left_out(self, folder):
        words = ("--data", folder / "toy.csv", "--config", folder / "small.toml", "--minutes", "0.002", "--out", "run")
        output = " ".join(self.run("train", *words).output.split())
        assert "--minutes 0.002 is too little here" in output and "or more." in output
        assert "no time left to train anew" in output
        run = json.loads(Path("run/run.json").read_text())
        assert "refit" not in run and run["training"]["steps"] < 20 and "baseline" in run["scores"]["test"]

    @pytest.mark.slow
    def test_a_run_cut_in_the_second_training_is_gone_on_with(self, folder, monkeypatch):
        from cnnkit import training

        words = ("--data", folder / "toy.csv", "--config", folder / "small.toml", "--epochs", "3")
        self.run("train", *words, "--out", "whole")
        fit = training.fit

        def cut(*given, until=None, **callbacks):
            def stop(state):
                if until and state.epoch == 2:
                    raise KeyboardInterrupt
                callbacks.get("on_epoch", lambda state: None)(state)

            return fit(*given, until=until, **{**callbacks, "on_epoch": stop})

        with monkeypatch.context() as patch:
            patch.setattr(training.fitting, "fit", cut)
            assert CliRunner().invoke(main, ["train", *map(str, words), "--out", "cut"]).exit_code != 0
        assert "refit" not in json.loads(Path("cut/run.json").read_text())
        assert "temperature" in read_metadata(Path("cut/model.keras")), "a model that is whole, of the first training"
        self.run("train", "--out", "cut", "--resume")
        runs = [json.loads(Path(name, "run.json").read_text()) for name in ("whole", "cut")]
        assert runs[0]["scores"] == runs[1]["scores"]
        assert runs[0]["refit"]["records"] == runs[1]["refit"]["records"] > runs[0]["data"]["sizes"]["train"]
        self.run("train", "--out", "whole", "--resume")
        again = json.loads(Path("whole/run.json").read_text())
        assert (again["scores"], again["refit"]) == (runs[0]["scores"], runs[0]["refit"]), "nothing is trained again"
        found = [Path(name, "refit/history.csv").read_text().splitlines() for name in ("whole", "cut")]
        assert [row.split(",")[:2] for row in found[0]] == [row.split(",")[:2] for row in found[1]]

    @pytest.mark.slow
    def test_given_vectors_are_told_and_kept(self, folder):
        words = ("--data", folder / "toy.csv", "--config", folder / "small.toml", "--epochs", "1")
        vectors = ("--model", "kim-multichannel", "--vectors", folder / "glove.txt")
        output = self.run("train", *words, *vectors, "--out", "run").output
        assert "Vectors of 6 of" in output and "GloVe text, 12 numbers each" in output
        assert read_metadata(Path("run/model.keras"))["model"] == "kim-multichannel"
        more = ("--data", folder / "toy.csv", "--weights", "run", "--max-words", "20", "--epochs", "1", "--out", "more")
        assert "The tokenizer of the model that is continued" in self.run("train", *more).output

    def test_vectors_that_do_not_fit_are_one_line_and_leave_no_run(self, folder):
        words = ("train", "--data", folder / "toy.csv", "--config", folder / "small.toml", "--out", "run")
        static = (*words, "--model", "kim-static")
        assert "the variant static needs given vectors" in self.fails(*static)
        assert "the variant rand has random vectors" in self.fails(*words, "--vectors", folder / "glove.txt")
        assert "There is no file none.txt" in self.fails(*static, "--vectors", "none.txt")
        Path("foreign.txt").write_text("zug 0.1 0.2\nbahn 0.3 0.4\n")
        assert "foreign.txt has a vector of none of the" in self.fails(*static, "--vectors", "foreign.txt")
        Path("cut.txt").write_text("soup 0.1 0.2\nbread 0.3\n")
        assert "cut.txt: line 2 has 1 numbers, not 2" in self.fails(*static, "--vectors", "cut.txt")
        Path("image.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
        assert "image.txt" in self.fails(*static, "--vectors", "image.txt")
        assert not Path("run").exists()

    @pytest.mark.parametrize(
        ("options", "what"),
        [
            (("--fold", "3"), "--fold is K/N"),
            (("--fold", "11/10"), "11 of 10"),
            (("--model", "char-cnn", "--buckets", "100"), "--buckets is for words"),
            (("--model", "char-cnn", "--max-length", "100"), "larger --max-length"),
            (("--model", "dpcnn", "--regions", "3"), "no option --regions"),
            (("--regions", "3,9"), "sizes of 1 to 8 words"),
            (("--weights", "none.h5"), "none.h5 does not exist"),
            (("--text", "body"), "has no column 'body'"),
        ],
    )
    def test_options_that_do_not_fit_are_one_line(self, folder, options, what):
        line = self.fails("train", "--data", folder / "toy.csv", *options, "--out", "run")
        assert what in line and not Path("run").exists(), line

    @pytest.mark.slow
    def test_case_is_kept_unless_it_is_said(self, folder):
        lines = [
            f"{label},{word} {number}" for label, word in (("a", "Turkey"), ("b", "turkey")) for number in range(40)
        ]
        Path("case.csv").write_text("label,text\n" + "\n".join(lines) + "\n")
        for run in ("cased", "uncased"):
            words = ("--data", "case.csv", "--config", folder / "small.toml", "--epochs", "20", f"--{run}")
            found = self.document("train", *words, "--out", run)["scores"]["test"]
            assert json.loads(Path(run, "run.json").read_text())["settings"]["cased"] == (run == "cased")
            assert found["accuracy"] == 1 if run == "cased" else found["accuracy"] < 0.7

    def test_settings_of_images_are_one_line(self, folder):
        for setting in ("progressive = 2", "mixup = 0.2", "image_size = 32", "tiles = true"):
            Path("bad.toml").write_text(setting)
            line = self.fails("train", "--data", folder / "toy.csv", "--config", "bad.toml")
            assert (
                f"there is no setting `{setting.split()[0]}`" in line and "vocabulary" not in line and "words" in line
            )
        self.run("train", "--regions", "three", code=2)
        self.run("train", "--image-size", "32", code=2)


class TestData(Commands):
    """What the commands say of data, good and bad."""

    @pytest.fixture(autouse=True)
    def inside(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_columns_are_chosen_and_said(self):
        rows = "".join(f"{k},{name},{text},x\n" for k, (name, text) in enumerate(toy_texts.rows(60)))
        Path("a.csv").write_text("id,kind,sentence,rest\n" + rows)
        document = self.document("data", "show", "a.csv")
        plan = " ".join(document["notes"])
        assert "'sentence'" in plan and "'kind'" in plan and "ASCII" in plan
        assert len(document["texts"]) == 12 and {row["label"] for row in document["texts"]} <= set(toy_texts.LABELS)
        assert "as the model reads it" in self.run("data", "show", "a.csv").output
        line = self.fails("train", "--data", "a.csv", "--label", "topic")
        assert "has no column 'topic'" in line and "kind" in line and "sentence" in line

    def test_the_list_names_the_default(self):
        document = self.document("data", "list")
        assert document["default"] == "docstrings" and "docstrings" in {card["name"] for card in document["cards"]}

    def test_check_names_copies_with_different_labels(self):
        rows = toy_texts.rows(60)
        Path("a.csv").write_text(toy_texts.table([*rows, ("food" if rows[1][0] != "food" else "music", rows[1][1])]))
        findings = self.document("data", "check", "a.csv", code=1)["findings"]
        assert any("label" in finding["text"] for finding in findings)
        assert self.run("data", "check", "a.csv", code=1).output.strip()

    def test_check_and_show_read_the_columns_that_are_named(self):
        rows = "".join(f"{k % 2},a{k},soup and bread {k}\n" for k in range(40))
        Path("a.csv").write_text(f"label,text,remark\n{rows}")
        assert "a.csv has no column 'body'" in self.fails("data", "check", "a.csv", "--text", "body")
        Path("b.csv").write_text(Path("a.csv").read_text() + "0,fine,\n")
        for column, empty in (("text", False), ("remark", True)):
            found = self.document("data", "check", "b.csv", "--text", column, code=int(empty))["findings"]
            assert any("are empty" in finding["text"] for finding in found) == empty
        shown = self.document("data", "show", "a.csv", "--text", "remark")["texts"]
        assert all("soup" in row["text"] for row in shown)

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (b"", "is empty"),
            (b"kind,sentence\n", "a.csv"),
            (b"kind,sentence\n" + b"".join(b"food,soup %d\n" % k for k in range(9)), "one class only, food"),
            (toy_texts.table([*toy_texts.rows(40), ("art", "a painting")]).encode(), "one training text only of art"),
            (toy_texts.table(toy_texts.rows(40)).encode() + b"food,\n", "line 42 (no text)"),
            (toy_texts.table([*toy_texts.rows(40), ("food", "soup " * 250_000)]).encode(), "line 42 ("),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.csv"),
            (toy_texts.table(toy_texts.rows(40)).encode("utf-16"), "UTF-16"),
        ],
        ids=["empty", "header", "one-class", "once", "no-text", "1MB", "png", "utf-16"],
    )
    def test_data_that_cannot_be_trained_on_is_one_line(self, content, what):
        Path("a.csv").write_bytes(content)
        line = self.fails("train", "--data", "a.csv")
        assert what in line and len(line) < 500, line
        assert not Path("runs").exists()

    def test_bytes_that_are_no_utf8_are_named_or_their_encoding_is_said(self):
        good = toy_texts.table(toy_texts.rows(60)).encode()
        Path("latin.csv").write_bytes(good.replace(b"soup", "br\u00fche".encode("cp1252")))
        assert "Read as Windows-1252." in self.document("data", "show", "latin.csv")["notes"]
        mixed = good.replace(b"soup", "br\u00fche".encode()) + b"food,\xfc broken bread\n"
        Path("mixed.csv").write_bytes(mixed)
        line = self.fails("train", "--data", "mixed.csv")
        assert "mixed.csv, line 62 (invalid UTF-8)" in line and "--skip-bad" in line, line


@pytest.mark.slow
def test_the_default_needs_no_download_and_beats_its_baseline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = Commands().document("train", "--epochs", "2")
    scores = given["scores"]["test"]
    assert scores["accuracy"] > 0.3 and scores["count"] > 100
    assert scores["baseline"]["accuracy"] > 0.3
