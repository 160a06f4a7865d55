import base64
import json
from types import SimpleNamespace

import numpy as np
import pytest
from page_server import needs_litert

from export.web import build


@pytest.fixture
def tiny(tmp_path):
    """A folder of models as far as the build looks at them."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "a.tflite").write_bytes(b"12345")
    mask = build.pack_mask(np.ones((4, 3), bool), 2, 2)
    model = {"name": "A", "file": "a.tflite", "accuracy": 1.0, "sparsity": 0.0, "mask": mask}
    (folder / "metadata.json").write_text(json.dumps({"models": [model]}))
    return folder


def kept(output):
    text = (output / "files.js").read_text()
    return json.loads(text.removeprefix("self.kept = ").removesuffix(";\n"))


@needs_litert
def test_page_is_complete(tiny, tmp_path):
    output = tmp_path / "dist"
    build.build(tiny, output)
    assert json.loads((output / "metadata.json").read_text())["models"][0]["bytes"] == 5
    files = kept(output)["files"]
    assert {"index.html", "app.js", "a.tflite", "metadata.json", "litert/index.js"} <= set(files)
    assert all((output / name).is_file() for name in files)
    assert not any(name.endswith((".gz", ".wasm")) for name in files)
    for script in output.rglob("*.js"):
        assert "@litertjs/wasm-utils" not in script.read_text().replace("//", "")


@needs_litert
def test_version_follows_the_contents(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "RUNTIMES", ())  # 9 MB each
    output = tmp_path / "dist"
    build.build(tiny, output)
    first = kept(output)["version"]
    build.build(tiny, output)
    assert kept(output)["version"] == first
    (tiny / "a.tflite").write_bytes(b"12346")
    build.build(tiny, output)
    assert kept(output)["version"] != first


def test_missing_model_leaves_the_page_alone(tiny, tmp_path):
    (tiny / "a.tflite").unlink()
    output = tmp_path / "dist"
    with pytest.raises(FileNotFoundError, match=r"a\.tflite"):
        build.build(tiny, output)
    assert not output.exists()


@needs_litert
def test_failed_build_leaves_the_page_alone(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "RUNTIMES", ())
    output = tmp_path / "dist"
    build.build(tiny, output)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    (tiny / "a.tflite").write_bytes(b"12346")
    changed = tmp_path / "node_modules"
    (changed / "core/dist").mkdir(parents=True)
    (changed / "core/dist/index.js").write_text("import '@litertjs/another-name';")
    with monkeypatch.context() as other_version:
        other_version.setattr(build, "PACKAGES", changed)
        with pytest.raises(ValueError, match="must be adapted"):
            build.build(tiny, output)
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"dist", "models", "node_modules"}
    build.build(tiny, output)
    assert (output / "a.tflite").read_bytes() == b"12346"


def test_damaged_metadata_is_said_on_one_line(tiny, tmp_path, monkeypatch):
    (tiny / "metadata.json").write_text("{")
    monkeypatch.setattr(build, "FLAGS", SimpleNamespace(models=tiny, output=tmp_path / "dist"))
    with pytest.raises(SystemExit, match=r"^build: .*column"):
        build.main(["build"])


@pytest.mark.parametrize(
    "name",
    [
        "../escaped.tflite",
        "/tmp/escaped.tflite",
        "folder/a.tflite",
        "..\\a.tflite",
        "index.html",
        "service-worker.js",
        ".tflite",
        "a\n.tflite",
        None,
        ["a.tflite"],
    ],
)
def test_nothing_is_written_where_metadata_leads_elsewhere(tiny, tmp_path, name):
    metadata = json.loads((tiny / "metadata.json").read_text())
    metadata["models"][0]["file"] = name
    (tiny / "metadata.json").write_text(json.dumps(metadata))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"the name of a \.tflite file beside it"):
        build.build(tiny, tmp_path / "dist")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("content", ["[]", "3", '{"models": 3}', '{"models": ["a.tflite"]}', "{}"])
def test_metadata_of_another_form(tiny, tmp_path, content):
    (tiny / "metadata.json").write_text(content)
    with pytest.raises(ValueError, match='no list of "models"'):
        build.build(tiny, tmp_path / "dist")


def test_a_model_that_is_a_link_is_not_followed(tiny, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tiny / "a.tflite").unlink()
    (tiny / "a.tflite").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="no plain file"):
        build.build(tiny, tmp_path / "dist")


def test_foreign_folder_is_not_replaced(tiny, tmp_path):
    output = tmp_path / "holiday"
    output.mkdir()
    (output / "photo.jpg").touch()
    with pytest.raises(FileExistsError, match="holiday"):
        build.build(tiny, output)
    assert (output / "photo.jpg").exists()


def test_litert_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "PACKAGES", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="npm ci"):
        build.copy_runtime(tmp_path)


def test_mask_tile_is_one_units_view():
    mask = np.zeros((6, 3), bool)
    mask[[0, 5], 1] = True
    packed = build.pack_mask(mask, 2, 3)
    bits = np.unpackbits(np.frombuffer(base64.b64decode(packed.pop("bits")), np.uint8))
    assert packed == {"tiles": 3, "height": 2, "width": 3}
    np.testing.assert_array_equal(np.flatnonzero(bits), [6, 11])
