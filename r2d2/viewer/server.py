"""Serves the viewer to this machine only: on loopback, at an address with a secret token."""

from __future__ import annotations

import json
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from r2d2.viewer.contents import Contents
from r2d2.viewer.opened import opened
from r2d2.viewer.page import page

HOST = "127.0.0.1"
LISTED = 200  # items in one response; ours


class Viewer:
    """A server that starts with `serve`; `address` is what a browser opens."""

    def __init__(self, contents: Contents, port: int = 0) -> None:
        """`port` 0 takes a free one. OSError if the port is in use."""
        self.contents = contents
        self.token = secrets.token_urlsafe(24)
        self._one = threading.Lock()  # the replay is read by one request at a time
        handler = type("Handler", (_Handler,), {"viewer": self})
        self.server = ThreadingHTTPServer((HOST, port), handler)
        self.address = f"http://{HOST}:{self.server.server_port}/{self.token}/"
        self._page = page(contents, live=True).encode()

    def serve(self) -> None:
        """Serve until `close` is called from another thread, or KeyboardInterrupt."""
        self.server.serve_forever()

    def close(self) -> None:
        """Stop serving and release the port."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, content type and content for a path without the token."""
        parts = urlsplit(path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "":
            return HTTPStatus.OK, "text/html; charset=utf-8", self._page
        try:
            with self._one:
                if parts.path == "items":
                    return _json(self._items(asked))
                if parts.path == "item":
                    return _json(opened(self.contents, int(asked.get("id", ""))))
        except (ValueError, KeyError) as error:
            return HTTPStatus.BAD_REQUEST, "text/plain; charset=utf-8", str(error).encode()
        return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"there is nothing here"

    def _items(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        items = self.contents.items
        order = items.order(asked.get("sort", "priority"), descending=asked.get("order") != "ascending")
        return items.rows(order[:LISTED])


def _json(value: Any) -> tuple[HTTPStatus, str, bytes]:
    return HTTPStatus.OK, "application/json", json.dumps(value, allow_nan=False).encode()


class _Handler(BaseHTTPRequestHandler):
    """Answers requests with the token; all others get 404."""

    viewer: Viewer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, token, rest = [*self.path.split("/", 2), "", ""][:3]
        host = self.headers.get("Host", "").partition(":")[0]
        known = secrets.compare_digest(token.encode(), self.viewer.token.encode())
        if known and host in (HOST, "localhost"):  # another host name may be DNS rebinding
            self._send(*self.viewer.answer(rest))
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"there is nothing here")

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Do not log requests."""
