"""The page in headless Chromium: it answers as Python does, and contacts nobody. Needs npm, chromium and chromedriver."""

import base64
import json
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from cnnkit import load_model
from cnnkit.demo import litertjs
from cnnkit.reporter import SILENT
from cnnkit.verbs import demo
from cnnkit_digits.cli import main as digits
from tests import programs
from tests.browser import browser

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
    assert found["good"] == len(found["rows"]) >= 3, found
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
