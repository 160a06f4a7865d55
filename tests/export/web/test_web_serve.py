import gzip
import http.client
import re
import urllib.error
import urllib.parse
import urllib.request

import pytest
from page_server import serving

from export.web import build, serve


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


def answer(url, path="/", **headers):
    """Status, headers and body of a request as it is, without a client's own ideas of a path."""
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
    connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": place.netloc, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    found = response.status, response.headers, response.read()
    connection.close()
    return found


def test_symlinks_to_elsewhere_are_left_out(url, tmp_path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "secret.txt").write_text("secret")
    (tmp_path / "file.txt").symlink_to(elsewhere / "secret.txt")
    (tmp_path / "folder").symlink_to(elsewhere)
    (tmp_path / "b.wasm").write_bytes(b"b")
    (tmp_path / "b.wasm.gz").symlink_to(elsewhere / "secret.txt")
    (tmp_path / "inside.html").symlink_to(tmp_path / "index.html")
    for path in ("/file.txt", "/folder/secret.txt", "/folder/"):
        assert answer(url, path)[0] == 404
    assert answer(url, "/b.wasm", **{"Accept-Encoding": "gzip"})[0] == 404
    assert answer(url, "/inside.html")[0] == 200


def test_folders_are_not_listed(url, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "hidden.tflite").touch()
    status, _, body = answer(url, "/models/")
    assert status == 404
    assert b"hidden" not in body


@pytest.mark.parametrize("path", ["/a%00b", "/%ed%a0%80", "/" + "a" * 5000, "/index.html%00.js"])
def test_a_path_that_no_file_has_is_answered(url, path):
    assert answer(url, path)[0] == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:80", 200),
        ("evil.example", 421),
        ("localhost.evil.example:80", 421),
        ("", 421),
    ],
)
def test_who_is_asked_for_under_another_name_does_not_answer(url, host, status):
    assert answer(url, Host=host)[0] == status


def test_every_answer_has_the_policy_of_the_page(url):
    page = (build.HERE / "page" / "index.html").read_text()
    in_the_page = re.search(r'content="(default-src[^"]*)"', page)[1]
    for path in ("/", "/nowhere"):
        policy = answer(url, path)[1]["Content-Security-Policy"]
        assert set(in_the_page.split("; ")) < set(policy.split("; "))
        assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip;q=0", None),
        ("br, gzip;q=0.000", None),
        ("identity, *;q=0", None),
        ("x-gzip-not", None),
        ("br;q=1, GZIP ; q=0.2", "gzip"),
        ("*", "gzip"),
    ],
)
def test_gzip_is_sent_by_its_weight(url, accepted, encoding):
    _, headers, _ = answer(url, "/a.wasm", **{"Accept-Encoding": accepted})
    assert headers["Content-Encoding"] == encoding


def test_no_page(tmp_path):
    with pytest.raises(FileNotFoundError, match="no page in"):
        serve.make_server(tmp_path)
