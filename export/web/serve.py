"""Serves the built page on this machine: `python -m export.web.serve --folder=export/web/dist`.

Any static HTTPS host will do in its place. The two isolation headers give the page a clock of
5 microseconds; without them it measures with a coarser one.
"""

import functools
import ipaddress
import os
import re
import sys
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from absl import app, flags

from keras_lottery.commands import script

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding",
}


class PageHandler(SimpleHTTPRequestHandler):
    """Serves the plain files of one folder with isolation headers; `name.gz` if accepted."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".tflite": "application/octet-stream",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }
    compressed = False

    def send_head(self):
        """The file to send, opened; an error's answer for what this page does not have."""
        self.compressed = False
        # A page of another name could be led to this address, and would then read along.
        if not self._is_for_this_server():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return None
        try:
            inside = self._is_inside(self.translate_path(self.path))
        except ValueError:  # a path with a NUL, or of no text
            inside = False
        if not inside:
            self.compressed = False
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def list_directory(self, path):
        """Lists nothing."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def translate_path(self, path):
        """The file to send; notes whether it is the gzipped one."""
        file = super().translate_path(path)
        accepted = accepts_gzip(self.headers.get("Accept-Encoding", ""))
        self.compressed = accepted and os.path.isfile(f"{file}.gz")
        return f"{file}.gz" if self.compressed else file

    def _is_for_this_server(self):
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host in ("localhost", self.server.name)
        return True

    def _is_inside(self, file):
        folder = os.path.realpath(self.directory)
        return os.path.commonpath([folder, os.path.realpath(file)]) == folder

    def guess_type(self, path):
        """The type of what a gzipped file holds."""
        return super().guess_type(path.removesuffix(".gz") if self.compressed else path)

    def end_headers(self):
        """Adds this server's headers to every answer."""
        if self.compressed:
            self.send_header("Content-Encoding", "gzip")
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format, *args):
        """Keeps the terminal for what matters: the address."""


class PageServer(ThreadingHTTPServer):
    """A server that knows by which name it was asked to listen."""

    name = "localhost"


def accepts_gzip(header):
    """Return whether an `Accept-Encoding` header accepts gzip.

    >>> accepts_gzip("br, gzip;q=0.5"), accepts_gzip("gzip;q=0, *"), accepts_gzip("*")
    (True, False, True)
    """
    weights = {}
    for entry in header.lower().split(","):
        name, *settings = (part.strip() for part in entry.split(";"))
        quality = next((each[2:] for each in settings if each.startswith("q=")), "1")
        weights[name] = not re.fullmatch(r"0(\.0*)?", quality)
    return weights.get("gzip", weights.get("*", False))


def make_server(folder, host="localhost", port=0):
    """Make a server for `folder`, not yet running; port 0 takes a free one (`server.server_port`).

    Raises:
        FileNotFoundError: `folder` has no page.
    """
    if not (Path(folder) / "index.html").exists():
        raise FileNotFoundError(f"no page in {folder}; `python -m export.web.build` makes one")
    server = PageServer((host, port), functools.partial(PageHandler, directory=str(folder)))
    server.name = host.lower()
    return server


def main(argv):
    """Serves until interrupted."""
    script.refuse_arguments(argv)
    try:
        server = make_server(FLAGS.folder, FLAGS.host, FLAGS.port)
    except OSError as error:
        sys.exit(f"serve: {error}")
    print(f"http://{FLAGS.host}:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


FLAGS = flags.FLAGS
if __name__ == "__main__":
    flags.DEFINE_string("folder", str(Path(__file__).parent / "dist"), "The built page.")
    flags.DEFINE_string("host", "localhost", "Address to listen on.")
    flags.DEFINE_integer("port", 8000, "Port to listen on; 0 takes a free one.")
    app.run(main)
