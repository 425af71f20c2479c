"""The server of the page: files in memory, on this machine alone.

Design choices:
- It listens on 127.0.0.1 and answers only requests that name this machine as host, so that no other site's page can read it by
  giving its own name this address.
- It has the files of one page by name, and nothing else: there is no path that leads elsewhere.
"""

import contextlib
import errno
import http.server
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from cnnkit.errors import ConfigError

HOST = "127.0.0.1"
USUAL = 8765  # the port, unless another is asked for
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'"
)
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "wasm": "application/wasm",
    "txt": "text/plain; charset=utf-8",
}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, content: Mapping[str, bytes]):
        self.content = content
        super().__init__((HOST, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser closes connections as it likes."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "cnnkit"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        host = (self.headers.get("Host") or "").rpartition(":")[0] or self.headers.get("Host") or ""
        name = unquote(urlsplit(self.path).path).lstrip("/") or "index.html"
        content = self.server.content.get(name)
        if host not in (HOST, "localhost"):
            status, content = 421, b"This page is for this machine alone.\n"
        elif content is None:
            status, content = 404, b"There is no such file.\n"
        else:
            status = 200
        self.send_response(status)
        kind = TYPES.get(name.rpartition(".")[2], "application/octet-stream") if status == 200 else TYPES["txt"]
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
        }
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: the console is the user's."""


@contextlib.contextmanager
def serving(content: Mapping[str, bytes], port: int | None = None) -> Iterator[str]:
    """Serve a page while the block runs, and give its address.

    Args:
        content: its files by name.
        port: of this machine; 0: any that is free. None: the usual one, or any if that is in use.

    Raises:
        ConfigError: the port that was asked for is in use, or may not be used.
    """
    try:
        server = _Server(USUAL if port is None else port, content)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        if port is not None:
            why = "in use by another program" if error.errno == errno.EADDRINUSE else "not for every user's programs"
            raise ConfigError(f"`port={port}` is {why}. Choose another, or 0 for any that is free.") from error
        server = _Server(0, content)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
