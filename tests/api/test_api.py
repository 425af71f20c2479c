"""The toolkit from Python: load, train, score, export, answer."""

import threading

import numpy as np
import pytest

import cnnkit


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small training; read only."""
    return cnnkit.train(
        "digits", model="micro", limit=200, epochs=2, seed=1, out=tmp_path_factory.mktemp("run") / "digits"
    )


@pytest.fixture(scope="module")
def exported(run):
    return run.export("float32")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)


class TestTrain:
    def test_a_run_has_its_scores_history_model_and_report(self, run):
        assert 0 < run.scores["accuracy"] <= 1 and run.scores["baseline"] and run.scores["verdict"]
        assert [row["epoch"] for row in run.history] == [1, 2]
        assert run.model.output_shape == (None, 10) and run.labels == tuple("0123456789")
        assert run.report().is_file() and run.settings["epochs"] == 2
        assert "micro" in repr(run) and "<table>" in run._repr_html_()

    def test_nothing_is_printed_and_what_was_said_is_kept(self, run, capfd):
        run.evaluate(split="validation")
        assert capfd.readouterr().out == ""
        assert any("Training micro" in line for line in run.messages)

    def test_a_run_opens_again(self, run):
        again = cnnkit.load_run(run.path)
        assert again.scores == run.scores and again.app == "digits"
        scored = again.evaluate()
        assert scored["accuracy"] == run.scores["accuracy"]

    @pytest.mark.parametrize(
        ("given", "line"),
        [
            ({"app": "digts"}, "There is no app 'digts'. Is `digits` meant?"),
            ({"app": 3}, "An app is a name, one of .*digits"),
            ({"epoch": 3}, "There is no setting `epoch` of digits. Is `epochs` meant?"),
            ({"epochs": 0}, "`epochs` must be at least 1"),
            ({"epochs": "x"}, "`epochs` needs int"),
            ({"model": "nope"}, "There is no model `nope`"),
            ({"model": 3}, "`model` is a name, a keras.Model, or a function"),
            ({"task": "x"}, "The app digits has no task 'x'"),
            ({"data": 3}, "Data is named"),
            ({"data": "nope"}, "There is no data set 'nope'"),
            ({"reporter": 3}, "`reporter` needs the method message"),
        ],
    )
    def test_what_cannot_be_is_one_line(self, given, line, capfd):
        with pytest.raises(cnnkit.CnnkitError, match=line) as error:
            cnnkit.train(**{"app": "digits", **given})
        assert isinstance(error.value, ValueError) and "\n" not in str(error.value)
        assert capfd.readouterr().out == ""

    @pytest.mark.slow
    def test_a_model_of_ones_own_is_trained_as_a_copy(self, tmp_path):
        import keras
        from keras import layers

        own = keras.Sequential([keras.Input((12, 12, 1)), layers.Flatten(), layers.Dense(10)], name="own")
        before = own.get_weights()
        run = cnnkit.train("digits", model=own, limit=100, epochs=1, out=tmp_path / "run")
        assert run.model.name == "own" and run.model.input_shape == (None, 12, 12, 1)  # the data follow the model
        assert all((a == b).all() for a, b in zip(before, own.get_weights()))
        assert cnnkit.load_run(run.path).evaluate()["accuracy"] == run.scores["accuracy"]

    @pytest.mark.parametrize(
        ("last", "line"),
        [
            ({"units": 9}, "ends in 9 numbers for 10 labels"),
            ({"units": 10, "activation": "softmax"}, "it ends in softmax"),
            ({"units": 10, "channels": 3}, "it takes 28 x 28 x 3, and the data has 28 x 28 x 1"),
            ({"units": 10, "own": True}, "it has a Mine layer, code of its own"),
        ],
    )
    def test_a_model_that_does_not_fit_is_refused_before_training(self, last, line):
        import keras
        from keras import layers

        from cnnkit.api.own import Own, checking

        class Mine(layers.Layer):
            def call(self, inputs):
                return inputs

        def build(shape, labels):
            image = keras.Input((*shape[:2], last.get("channels", 1)))
            x = Mine()(image) if last.get("own") else image
            return keras.Model(image, layers.Dense(last["units"], last.get("activation"))(layers.Flatten()(x)))

        with pytest.raises(cnnkit.ConfigError, match=line):
            checking(Own(build, "build"), "classification")((28, 28, 1), 10)


class TestLoadData:
    def test_data_says_what_it_is_and_gives_batches(self):
        data = cnnkit.load_data("digits", limit=50, validation=0.2)
        assert data.task == "classification" and data.labels == tuple("0123456789") and len(data.train) == 50
        images, labels = next(iter(data.train.dataset(batch_size=8)))
        assert images.shape == (8, 28, 28, 1) and images.dtype == "float32" and float(images.numpy().max()) > 1
        assert labels.shape == (8,) and labels.dtype == "int32"
        assert sum(len(x) for x, _ in data.train.dataset(8)) == 50
        native, target = data.train[0]
        assert native.dtype == np.uint8 and int(target) in range(10)
        assert "<img" in data._repr_html_() and "50 train" in repr(data)

    def test_orders_repeat_by_seed_and_differ_by_epoch(self):
        part = cnnkit.load_data("digits", limit=60).train
        batches = part.dataset(60, seed=3)
        first, second = (next(iter(batches))[1].numpy().tolist() for _ in range(2))
        assert first == next(iter(part.dataset(60, seed=3)))[1].numpy().tolist() and first != second
        assert next(iter(part.dataset(60, shuffle=False)))[1].numpy().tolist() == part.arrays()[1].tolist()

    def test_one_hot_targets_are_for_one_label_each(self):
        part = cnnkit.load_data("digits", limit=20).train
        assert next(iter(part.dataset(4, one_hot=True)))[1].shape == (4, 10)

    def test_boxes_come_in_the_form_of_keras(self, tmp_path):
        import cv2

        for name in ("images", "labels"):
            (tmp_path / name).mkdir()
        for number in range(16):
            picture = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), picture)
            rows = [f"{k} {0.3 + 0.3 * k} 0.5 0.2 0.3" for k in range(1 + number % 2)]
            (tmp_path / "labels" / f"{number}.txt").write_text("\n".join(rows))
        (tmp_path / "data.yaml").write_text("train: images\nnames: [dog, cat]\n")
        data = cnnkit.load_data(tmp_path)
        assert data.task == "detection" and data.labels == ("dog", "cat")
        pictures, targets = next(iter(data.train.dataset(4)))
        labels, boxes = targets["labels"].numpy(), targets["boxes"].numpy()
        assert set(targets) == {"boxes", "labels"} and boxes.shape == (4, labels.shape[1], 4)
        assert labels.dtype == np.int32 and (labels >= -1).all() and (boxes[labels < 0] == -1).all()
        scale = pictures.shape[1] / 64
        first = boxes[np.arange(4), labels.argmin(1) * 0]
        np.testing.assert_allclose(first, np.tile(np.array([12.8, 22.4, 25.6, 41.6]) * scale, (4, 1)), atol=0.5 * scale)

    def test_masks_are_code_maps(self, tmp_path):
        from tests.tasks.segmentation import small_masks

        small_masks.pairs(tmp_path, count=16)
        data = cnnkit.load_data(tmp_path)
        pictures, masks = next(iter(data.train.dataset(2)))
        assert data.task == "segmentation" and masks.shape == pictures.shape[:3] and masks.dtype == "uint8"
        assert set(np.unique(masks)) <= {0, 1, 255}

    def test_texts_are_ids(self, tmp_path):
        from tests import toy_texts

        lines = [f"{label},{text}" for label, text in toy_texts.rows(60)]
        (tmp_path / "texts.csv").write_text("label,text\n" + "\n".join(lines))
        texts = cnnkit.load_data(tmp_path / "texts.csv", "text")
        ids, labels = next(iter(texts.train.dataset(4)))
        assert ids.dtype == "int32" and labels.shape == (4,) and isinstance(texts.train[0][0], str)
        assert texts.labels == tuple(sorted(toy_texts.LABELS)) and texts.train[-1][1] in (0, 1, 2)

    @pytest.mark.parametrize(
        ("given", "line"),
        [
            ({"validatoin": 0.1}, "There is no setting `validatoin`.* Is `validation` meant?"),
            ({"validation": 3.0}, "`validation` must lie in"),
            ({"app": "digits", "epochs": 3}, "There is no setting `epochs` of data"),
        ],
    )
    def test_what_cannot_be_is_one_line(self, given, line):
        with pytest.raises(cnnkit.ConfigError, match=line):
            cnnkit.load_data("digits", **given)


class TestLoadModel:
    def test_one_batch_list_and_file_are_answered(self, exported, images, tmp_path):
        import cv2

        model = cnnkit.load_model(exported)
        cv2.imwrite(str(tmp_path / "one.png"), images[0])
        one = model.predict(images[0])
        assert set(one) == {"label", "score"} and one["label"] in model.labels
        assert model.predict(images)[0] == one == model.predict(list(images))[0]
        assert model.predict(images[0].astype(float)) == one == model.predict(images[0][..., None])
        assert model.predict(tmp_path / "one.png") == {"input": str(tmp_path / "one.png"), **one}
        assert len(model.predict(tmp_path)) == 1 and len(model.predict(images[0], top=3)["top"]) == 3

    def test_threads_get_the_same_answers(self, exported, images):
        model, found = cnnkit.load_model(exported), [None] * 8
        due = model.predict(images, top=3)

        def ask(number):
            found[number] = model.predict(images, top=3)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(answers == due for answers in found)

    def test_a_run_and_its_trained_model_answer_alike(self, run, exported, images):
        due = cnnkit.load_model(run.path).predict(images)
        for other in (cnnkit.load_model(run.path / "model.keras").predict(images), run.predict(images)):
            assert [answer["label"] for answer in other] == [answer["label"] for answer in due]

    @pytest.mark.parametrize(
        ("given", "line"),
        [
            (np.zeros(3), r"Got \[3\]"),
            (np.zeros((0, 28, 28)), "Got an empty array"),
            (np.full((28, 28), np.nan), "784 that are NaN"),
            (np.full((28, 28), 0.5), "multiply them by 255"),
            (np.full((28, 28), 256), "numbers from 256 to 256"),
            (np.array([["a"]]), "an array of <U1"),
            (np.zeros((2, 3, 28, 28)), "1, 3 or 4 channels"),
            (None, "Got NoneType"),
            ([], "an empty list"),
            ([[1, 2]], "Got list"),
            ("gone.png", "there is no such file"),
            ("", "an empty path"),
        ],
    )
    def test_bad_input_is_one_line(self, exported, given, line):
        with pytest.raises(cnnkit.DataError, match=line):
            cnnkit.load_model(exported).predict(given)

    @pytest.mark.parametrize(
        ("options", "line"),
        [({"topp": 2}, "Is `top` meant?"), ({"top": 0}, "at least 1"), ({"threshold": 0.5}, "no option")],
    )
    def test_options_that_there_are_not_are_refused(self, exported, images, options, line):
        with pytest.raises(cnnkit.ConfigError, match=line):
            cnnkit.load_model(exported).predict(images[0], **options)

    @pytest.mark.parametrize(
        ("path", "kind"),
        [("gone.tflite", cnnkit.ArtifactNotFound), ("gone", FileNotFoundError), (3, cnnkit.ArtifactError)],
    )
    def test_what_is_no_model_is_refused(self, path, kind, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(kind):
            cnnkit.load_model(path)


class TestExport:
    def test_the_gate_refuses_what_loses_too_much(self, run, monkeypatch):
        from cnnkit.export import gate

        monkeypatch.setattr(gate, "export", lambda *_, **__: (_ for _ in ()).throw(cnnkit.GateRefused("lost.")))
        (run.path / "export").mkdir(exist_ok=True)
        (run.path / "export" / "gate.json").write_text("{}")
        with pytest.raises(cnnkit.GateRefused, match="lost"):
            run.export("float32", out=None)

    def test_files_for_other_clients_lie_in_a_folder_of_their_own(self, run):
        file = run.export("float32", profile="mediapipe")
        assert file == run.path / "export" / "mediapipe" / "digits-float32.tflite" and file.is_file()
        assert cnnkit.load_model(file).input_shape == (28, 28, 3)
        assert file not in run.exports, "which are those that our own programs take"

    @pytest.mark.parametrize("profile", ["phone", "", 3, ["mediapipe"], None])
    def test_an_unknown_client_is_refused(self, run, profile):
        with pytest.raises(cnnkit.ConfigError, match="`profile` knows litert, mediapipe"):
            run.export("float32", profile=profile)

    @pytest.mark.parametrize("precision", ["int4", "float32,int8", 8])
    def test_a_precision_is_one_name(self, run, precision):
        with pytest.raises(cnnkit.ConfigError, match="`precision`"):
            run.export(precision)
