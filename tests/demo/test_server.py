"""The server of the page: this machine alone, the page's files alone, types and a policy on each."""

import http.client
import socket
import threading
from urllib.parse import urlsplit

import pytest

from cnnkit.demo.server import HOST, USUAL, serving
from cnnkit.errors import ConfigError

FILES = {
    "index.html": b"<p>",
    "page.js": b"1",
    "litert/x.wasm": b"\0asm",
    "model.tflite": b"TFL3",
    "a.css": b"",
    "m.json": b"{}",
}


def asked(address, path="/", host=None, method="GET"):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_each_file_has_its_type_and_a_policy_that_lets_nothing_out():
    types = {
        "/": "text/html; charset=utf-8",
        "/page.js": "text/javascript; charset=utf-8",
        "/litert/x.wasm": "application/wasm",
        "/model.tflite": "application/octet-stream",
        "/a.css": "text/css; charset=utf-8",
        "/m.json?x=1": "application/json",
    }
    with serving(FILES, 0) as address:
        for path, kind in types.items():
            status, headers, body = asked(address, path)
            assert status == 200 and headers["Content-Type"] == kind
            assert body == FILES[path.lstrip("/").partition("?")[0] or "index.html"]
            policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
            assert (
                policy["default-src"] == policy["connect-src"] == "'self'"
                and "http" not in headers["Content-Security-Policy"]
            )
            assert headers["X-Content-Type-Options"] == "nosniff"
        assert asked(address, "/page.js", method="HEAD")[::2] == (200, b"")


@pytest.mark.parametrize("path", ["/none", "/../secret", "/%2e%2e/etc/passwd", "//etc/passwd", "/litert/"])
def test_there_is_nothing_but_the_files_of_the_page(path):
    with serving(FILES, 0) as address:
        assert asked(address, path)[0] == 404


def test_another_host_that_names_this_address_is_refused_and_other_machines_do_not_reach_it():
    with serving(FILES, 0) as address:
        port = urlsplit(address).port
        assert urlsplit(address).hostname == HOST == "127.0.0.1"
        assert asked(address, host=f"evil.example:{port}")[0] == asked(address, host="evil.example")[0] == 421
        assert asked(address, host=f"localhost:{port}")[0] == 200


def test_a_port_in_use_is_said_where_it_was_asked_for_and_else_another_is_taken(monkeypatch):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"`port={port}` is in use by another program. Choose another, or 0"):
            with serving(FILES, port):
                pass
        monkeypatch.setattr("cnnkit.demo.server.USUAL", port)
        with serving(FILES) as address:
            assert urlsplit(address).port != port and asked(address)[0] == 200
    assert USUAL == 8765


def test_the_server_ends_with_its_block():
    with serving(FILES, 0) as address:
        port = urlsplit(address).port
    with pytest.raises(OSError):
        socket.create_connection((HOST, port), timeout=2)
    assert not [thread for thread in threading.enumerate() if "serve_forever" in thread.name]
