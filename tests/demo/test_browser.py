"""The page in headless Chromium: it answers as Python does, and contacts nobody. Needs npm, chromium and chromedriver."""

import base64
import json
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from cnnkit import load_model
from cnnkit.demo import litertjs
from cnnkit.reporter import SILENT
from cnnkit.verbs import demo
from cnnkit_digits.cli import main as digits
from tests import programs, toy_texts
from tests.browser import browser
from tests.demo.conftest import exported

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "street.jpg"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """Return the folder that has the real LiteRT.js, as npm gives it."""
    programs.needed("npm", of="Node.js")
    folder = tmp_path_factory.mktemp("litertjs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(litertjs, "folder", lambda: folder)
        litertjs.runtime(SILENT)
        yield folder


@pytest.fixture
def page(runtime, chromium):
    """Return what serves the page of a file, and opens it; gives its address."""
    with_address = []

    def opened(app, path, query="", preparation=None, done="return document.body.dataset.state"):
        made = demo.page(app, path, title="Try it.", preparation=preparation)
        serving = made.serving(0)
        address = serving.__enter__()
        with_address.append(serving)
        chromium.looks()
        chromium.requests()
        chromium.open(address + query)
        chromium.until(done)
        return address

    yield opened
    for serving in with_address:
        serving.__exit__(None, None, None)


def checked(chromium, page, app, path, preparation=None):
    """Let a page check itself; all inputs are as in Python, and it asked nobody but its own server."""
    address = page(app, path, "?check", preparation)
    chromium.picture(f"{app}-check.png")
    assert chromium.run("return document.body.dataset.state") == "checked", chromium.run(
        "return document.body.innerText"
    )
    found = json.loads(chromium.run("return document.body.dataset.check"))
    assert found["good"] == len(found["rows"]) >= 2, found
    asked = {url for url in chromium.requests() if not url.startswith("data:")}
    assert any(url.endswith(".wasm") for url in asked) and any(url.endswith(".tflite") for url in asked)
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(address).netloc}
    return found


def looked_at(chromium, name):
    """Keep pictures of a page: light, dark, and as wide as a phone, where nothing is wider than the screen."""
    chromium.picture(f"{name}-light.png")
    chromium.looks(dark=True)
    chromium.picture(f"{name}-dark.png")
    chromium.looks(dark=True, width=390, height=844)
    chromium.picture(f"{name}-390.png")
    assert chromium.run("return document.documentElement.scrollWidth") <= 390


def unlike(one, other, most=0.01):
    """Return where two answers differ, numbers by more than `most`, of those above 1 by that share; "" where they are alike."""
    if isinstance(one, dict) and isinstance(other, dict):
        every = [unlike(one.get(key), other.get(key), most) for key in {*one, *other}]
        return next((f"{key} {found}" for key, found in zip({*one, *other}, every, strict=True) if found), "")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next((found for pair in zip(one, other, strict=True) if (found := unlike(*pair, most))), "")
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    alike = abs(one - other) <= most * max(1, abs(other)) if numbers else one == other
    return "" if alike else f"{one} for {other}"


def dropped(chromium, path):
    """Give the page a file; returns its answer."""
    chromium.run("document.body.dataset.answer = ''")
    chromium.type("input[type=file]", str(path))
    return answer(chromium)


def answer(chromium):
    return json.loads(chromium.until("return document.body.dataset.answer"))


def test_a_digit_is_drawn_and_answered_as_in_python(chromium, page, digits_file):
    layout = digits.app.preparation()
    checked(chromium, page, "digits", digits_file, layout)
    page("digits", digits_file, preparation=layout)
    for places in ([(-0.05, -0.3), (0, 0), (0, 0.3)], [(-0.2, -0.3), (0.2, -0.3), (-0.1, 0.3)]):
        chromium.click("button.main")  # Clear
        chromium.until("return !document.body.dataset.answer")
        chromium.drag("canvas", places)
        found = answer(chromium)
        url = chromium.run("return document.querySelector('canvas').toDataURL()")
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
        wanted = load_model(digits_file).predict(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), top=5)
        assert found["label"] == wanted["label"] and abs(found["score"] - wanted["score"]) < 0.01
    looked_at(chromium, "digits")
    chromium.requests()


def test_a_digit_is_drawn_by_keys_alone(chromium, page, digits_file):
    page("digits", digits_file, preparation=digits.app.preparation())
    down, shift, up = "\ue015", "\ue008", "\ue000"
    chromium.type("canvas", shift + down * 12 + up)
    assert "label" in answer(chromium)
    chromium.type("canvas", "\ue00c")  # Escape
    chromium.until("return !document.body.dataset.answer")


@pytest.mark.parametrize(
    ("make", "decided"),
    [
        (toy_texts.rows, {"sure": 0.34}),
        (toy_texts.tagged, {"thresholds": [0.5, 0.3, 0.6], "sure": 0.55, "rare": {"sport": 3}}),
    ],
    ids=["one label", "several"],
)
def test_a_text_is_written_and_answered_as_in_python(chromium, page, texts_file, make, decided):
    path = texts_file(make, **decided)
    checked(chromium, page, "text", path)
    page("text", path)
    model = load_model(path)
    for text in ("soup and bread kaban loden", "nobody knows any of these words", "drum"):
        chromium.click("textarea")
        chromium.run("document.body.dataset.answer = ''")
        chromium.run("document.querySelector('textarea').value = ''")
        chromium.type("textarea", text)
        wanted = model.predict(text, **({} if "thresholds" in decided else {"top": 5}))
        for _ in range(100):  # answers come while it is written
            if not unlike(found := answer(chromium), wanted):
                break
        assert unlike(found, wanted) == ""
    looked_at(chromium, "text" if make is toy_texts.rows else "text-several")


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_photo_is_dropped_and_answered_as_in_python(chromium, page, tmp_path, precision):
    from cnnkit.models.images import MODELS

    labels = ["crazing", "inclusion", "patches", "pitted"]
    unknown = {"below": 0.4, "accepted": 0.95, "chosen_on": 100} if precision == "int8" else {}
    model = MODELS["default"]((48, 64, 3), 4)
    path = exported(tmp_path, model, labels, precision, app="photos", **({"unknown": unknown} if unknown else {}))
    checked(chromium, page, "photos", path)
    page("photos", path)
    picture = cv2.cvtColor(cv2.imread(str(PICTURE)), cv2.COLOR_BGR2RGB)
    found = dropped(chromium, PICTURE)
    assert unlike(found, load_model(path).predict(picture, top=5), 0.02) == ""
    looked_at(chromium, f"photos-{precision}")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    chromium.type("input[type=file]", str(broken))
    chromium.until("return document.getElementById('status').className === 'bad'")
    assert "broken.png cannot be used: this browser reads no picture in it" in chromium.run(
        "return document.body.innerText"
    )
    assert unlike(dropped(chromium, PICTURE), found) == ""
    assert chromium.run("return document.getElementById('status').hidden")


def test_a_number_of_a_picture_has_its_interval(chromium, page, tmp_path):
    from cnnkit_steering.model import pilot_net

    about = {
        "names": ["angle"],
        "units": ["degrees"],
        "interval": {"level": 0.9, "half": [3.25]},
        "mean": [2.0],
        "std": [9.0],
    }
    model = pilot_net((66, 200, 3), 1)
    path = exported(tmp_path, model, [], app="steering", task="regression", regression=about)
    checked(chromium, page, "steering", path)
    page("steering", path)
    found = dropped(chromium, PICTURE)
    picture = cv2.cvtColor(cv2.imread(str(PICTURE)), cv2.COLOR_BGR2RGB)
    assert unlike(found, load_model(path).predict(picture)) == ""
    assert "90 % of the time" in chromium.run("return document.getElementById('answer').innerText")
    looked_at(chromium, "steering")


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("tiled", [False, True], ids=["whole", "tiles"])
def test_signs_are_found_on_a_photo_as_in_python(chromium, page, tmp_path, tiled, precision):
    from cnnkit.device.detection import Plan
    from cnnkit.models.detectors import detector

    plan = Plan(scale=0.5, overlap=32.0, whole=True, threshold=0.52) if tiled else Plan(threshold=0.52)
    model = detector((128, 160, 3), 3, width=16)
    weights = model.get_layer("logits").get_weights()
    rng = np.random.default_rng(1)
    model.get_layer("logits").set_weights([rng.normal(0, 4, weights[0].shape), 0 * weights[1]])
    labels = ["stop", "speed limit", "no entry"]
    path = exported(tmp_path, model, labels, precision, app="signs", task="detection", detection=plan.to_dict())
    checked(chromium, page, "signs", path)
    page("signs", path)
    found = dropped(chromium, PICTURE)
    wanted = load_model(path).predict(cv2.cvtColor(cv2.imread(str(PICTURE)), cv2.COLOR_BGR2RGB))
    assert len(wanted["boxes"]) > 5 and (found["width"], found["height"]) == (640, 480)
    if precision == "float32":
        assert unlike(found, wanted) == ""
    else:  # scores are whole 256ths, so many are as high as the threshold
        assert abs(len(found["boxes"]) - len(wanted["boxes"])) <= 0.3 * len(wanted["boxes"])
    looked_at(chromium, f"signs-{'tiles' if tiled else 'whole'}-{precision}")


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_slice_is_drawn_over_as_in_python(chromium, page, tmp_path, precision):
    from cnnkit.device.segmentation import Plan
    from cnnkit.models.unets import unet

    plan = Plan(scale=1.0, lengths=(500, 600, 700), spacing=(0.5, 0.5))
    model = unet((96, 96, 1), 2)
    about = {"segmentation": plan.to_dict(), "notice": "Research software, not a medical device."}
    path = exported(tmp_path, model, ["vessel", "lesion"], precision, app="scans", task="segmentation", **about)
    checked(chromium, page, "scans", path)
    page("scans", path)
    assert chromium.run("return document.getElementById('notice').innerText") == about["notice"]
    grey = cv2.cvtColor(cv2.imread(str(PICTURE)), cv2.COLOR_BGR2RGB)
    found = dropped(chromium, PICTURE)
    wanted = load_model(path).predict(grey)
    for label, entry in wanted["labels"].items():
        assert abs(found["labels"][label]["share"] - entry["share"]) < (0.001 if precision == "float32" else 0.02)
    looked_at(chromium, f"scans-{precision}")


def test_the_page_may_ask_no_other_host(chromium, page, digits_file):
    """That what is asked for is seen at all is shown by what is asked of the page's own server."""
    address = page("digits", digits_file, preparation=digits.app.preparation())
    chromium.requests()
    script = "return fetch(arguments[0]).then(() => 'answered', () => 'refused')"
    assert chromium.run(script, address + "nothing") == "answered"
    assert address + "nothing" in chromium.requests()
    for foreign in ("https://example.com/", address.replace("127.0.0.1", "localhost")):
        assert chromium.run(script, foreign) == "refused"
        assert any("Content Security Policy" in line for line in chromium.said())


def test_what_is_missing_is_said_on_the_page(chromium, runtime, digits_file):
    made = dict(demo.page("digits", digits_file, preparation=digits.app.preparation()).content)
    said = {}
    for name, change in (("model.tflite", None), ("model.tflite", b"TFL3"), ("model.json", None), ("check.bin", None)):
        content = {**made, name: change} if change else {key: value for key, value in made.items() if key != name}
        with demo.Page(content).serving(0) as address:
            chromium.open(address + "?check")
            chromium.until("return document.body.dataset.state === 'failed'")
            said[name, change] = chromium.run("return document.getElementById('status').innerText")
    assert (
        said["model.tflite", None]
        == "model.tflite does not lie beside this page, and it is the model. Copy the whole folder."
    )
    assert "is not the file that this page was made for" in said["model.tflite", b"TFL3"]
    assert "Copy the whole folder." in said["model.json", None] and "Copy the whole folder." in said["check.bin", None]


def test_a_page_opened_as_a_file_says_to_serve_it(chromium, runtime, digits_file, tmp_path):
    demo.page("digits", digits_file, preparation=digits.app.preparation()).write(tmp_path / "page")
    chromium.open((tmp_path / "page" / "index.html").as_uri())
    text = chromium.run("return document.getElementById('status').innerText")
    assert "opened as a file" in text and "python3 -m http.server" in text
