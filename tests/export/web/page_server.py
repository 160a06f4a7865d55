"""What tests of the page need: a server, LiteRT.js, and Node.js."""

import contextlib
import shutil
import threading

import pytest

from export.web import build, serve

needs_litert = pytest.mark.skipif(
    not build.PACKAGES.exists(), reason="LiteRT.js is not installed: npm ci in export/web"
)


@contextlib.contextmanager
def serving(folder):
    """Serves a folder and gives its address."""
    server = serve.make_server(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def node():
    """The program to run JavaScript with; skips the test where there is none."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    return program
