import gzip
import urllib.error
import urllib.request

import pytest
from page_server import serving

from export.web import serve


@pytest.fixture
def url(tmp_path):
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "a.wasm").write_bytes(b"\0asm" * 100)
    (tmp_path / "a.wasm.gz").write_bytes(gzip.compress(b"\0asm" * 100))
    (tmp_path / "manifest.webmanifest").write_text("{}")
    with serving(tmp_path) as url:
        yield url


def get(url, **headers):
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "text/html"),
        ("a.wasm", "application/wasm"),
        ("manifest.webmanifest", "application/manifest+json"),
    ],
)
def test_types_and_isolation(url, path, kind):
    with get(url + path) as response:
        assert response.headers["Content-Type"] == kind
        assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert response.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert response.headers["Content-Encoding"] is None


def test_gzip_only_for_who_accepts_it(url):
    with get(url + "a.wasm", **{"Accept-Encoding": "gzip, br"}) as response:
        packed = response.read()
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Content-Type"] == "application/wasm"
    with get(url + "a.wasm") as response:
        assert gzip.decompress(packed) == response.read() == b"\0asm" * 100


def test_nothing_outside_the_folder(url):
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        get(url + "../../etc/passwd")
    caught.value.close()


def test_no_page(tmp_path):
    with pytest.raises(FileNotFoundError, match="no page in"):
        serve.make_server(tmp_path)
