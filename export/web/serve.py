"""Serves the built page on this machine: `python -m export.web.serve --folder=export/web/dist`.

Any static HTTPS host will do in its place. The two isolation headers give the page a clock of
5 microseconds; without them it measures with a coarser one.
"""

import functools
import os
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from absl import app, flags

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding",
}


class PageHandler(SimpleHTTPRequestHandler):
    """Static files with isolation headers; `name.gz` goes out for `name` if accepted."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".tflite": "application/octet-stream",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }
    compressed = False

    def translate_path(self, path):
        """The file to send; notes whether it is the gzipped one."""
        file = super().translate_path(path)
        accepted = "gzip" in self.headers.get("Accept-Encoding", "")
        self.compressed = accepted and os.path.isfile(f"{file}.gz")
        return f"{file}.gz" if self.compressed else file

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


def make_server(folder, host="localhost", port=0):
    """A server for `folder`, not yet running; port 0 takes a free one (`server.server_port`).

    Raises:
        FileNotFoundError: `folder` has no page.
    """
    if not (Path(folder) / "index.html").exists():
        raise FileNotFoundError(f"no page in {folder}; `python -m export.web.build` makes one")
    return ThreadingHTTPServer((host, port), functools.partial(PageHandler, directory=str(folder)))


def main(argv):
    """Serves until interrupted."""
    if len(argv) > 1:
        sys.exit(f"Unexpected {argv[1]!r}: every setting is a flag. See --help.")
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
