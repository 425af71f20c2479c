"""Headless Chromium, driven by ChromeDriver over HTTP; both are Debian's. Nothing of Python is needed beside its own library."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests import programs

NOWHERE = "127.0.0.1:9"  # a proxy that nobody is: what the browser itself would ask for goes there
KEY = "element-6066-11e4-a52e-4f735466cecf"  # of an element, in WebDriver
QUIET = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --disable-default-apps --disable-extensions "
    "--disable-features=OptimizationHints,MediaRouter,Translate --hide-scrollbars"
)


class Browser:
    """A session of Chromium. Make one with `browser`."""

    def __init__(self, address, folder):
        self.address = address
        arguments = [*QUIET.split(), f"--user-data-dir={folder}", f"--proxy-server={NOWHERE}"]
        options = {"args": arguments, "binary": shutil.which("chromium")}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}
        self.session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def do(self, method, path, body=None):
        return self._ask(method, f"/session/{self.session}{path}", body)

    def open(self, url):
        self.do("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        return self.do("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script, seconds=120):
        """Wait until a script returns something true, and return that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.run(script):
                return found
            time.sleep(0.1)
        raise AssertionError(
            f"{script} stayed false. The page says: {self.run('return document.body.innerText')}. {self.said()}"
        )

    def find(self, selector):
        return self.do("POST", "/element", {"using": "css selector", "value": selector})[KEY]

    def type(self, selector, text):
        self.do("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def click(self, selector):
        self.do("POST", f"/element/{self.find(selector)}/click", {})

    def drag(self, selector, places):
        """Draw a line over an element, through places as shares of its sides from its middle."""
        box = self.run(
            "const b = document.querySelector(arguments[0]).getBoundingClientRect(); return [b.width, b.height]",
            selector,
        )
        origin = {KEY: self.find(selector)}
        moves = [
            {"type": "pointerMove", "duration": 20, "origin": origin, "x": round(x * box[0]), "y": round(y * box[1])}
            for x, y in places
        ]
        steps = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        pointer = {"type": "pointer", "id": "pen", "parameters": {"pointerType": "mouse"}, "actions": steps}
        self.do("POST", "/actions", {"actions": [pointer]})

    def cdp(self, command, **parameters):
        return self.do("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def looks(self, *, dark=False, width=1280, height=900):
        """Let the page see a screen of this size, light or dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setEmulatedMedia", features=[scheme])
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def picture(self, path):
        """Keep a picture of the page in the folder that CNNKIT_PICTURES names, where it names one."""
        content = base64.b64decode(self.do("GET", "/screenshot"))
        if folder := os.environ.get("CNNKIT_PICTURES"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_bytes(content)
        return content

    def requests(self):
        """Return the addresses that the page asked for since it was asked last."""
        entries = [
            json.loads(entry["message"])["message"] for entry in self.do("POST", "/se/log", {"type": "performance"})
        ]
        return [
            entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"
        ]

    def said(self):
        """Return what the browser's console says."""
        return [entry["message"] for entry in self.do("POST", "/se/log", {"type": "browser"})]


@contextlib.contextmanager
def browser(folder):
    """Start Chromium; gives the `Browser`."""
    programs.needed("chromium", "chromedriver", of="chromium and chromium-driver of Debian")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        [shutil.which("chromedriver"), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    found = None
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(200):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/status", timeout=5).close()
                break
            time.sleep(0.1)
        found = Browser(address, folder)
        found.open("data:,")
        found.requests()  # those of the page that it begins with
        yield found
    finally:
        if found is not None:
            with contextlib.suppress(OSError, AssertionError):
                found.do("DELETE", "")
        driver.terminate()
        driver.wait()
