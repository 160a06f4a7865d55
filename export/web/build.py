"""Makes the web page's folder from models: `python -m export.web.build --models=DIR --output=DIR`.

`DIR/metadata.json` describes the models beside it (`export.web.train` writes such a folder):

    network    its name, "LeNet-300-100"
    dataset    what it was trained on, as the page shall say it
    output     "probabilities" or "logits"
    models     a list of {name, file, accuracy, sparsity, mask}: tickets, of which the first answers
               until another is chosen, and last the dense model; the mask is of the first layer, in
               tiles of 28 x 28 weights: see `pack_mask`
    examples   images for the Example button: {count, pixels}, base64 of count x 28 x 28 bytes
"""

import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
import sys
from base64 import b64encode
from pathlib import Path

import numpy as np
from absl import app, flags

from keras_lottery.commands import script

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules" / "@litertjs"
# One build of the runtime for browsers with relaxed SIMD, one for the others. The threaded and JSPI
# builds are for large models and for mixing in the GPU: neither helps one digit at a time.
_MODEL_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.tflite")
RUNTIMES = ("litert_wasm_internal", "litert_wasm_compat_internal")


def build(models, output):
    """Writes the page, its models and the runtime into a folder that any static server can serve.

    Args:
        models: Folder with `metadata.json` and the files it names.
        output: The folder to make; it replaces an earlier build.

    Raises:
        FileNotFoundError: A model is missing, or LiteRT.js is not installed.
        FileExistsError: `output` holds something that is not an earlier build.
        ValueError: `metadata.json` is no JSON, or names a file that is none beside it; or LiteRT.js
            has changed: see `copy_runtime`.
    """
    models, output = Path(models), Path(output)
    metadata = read_metadata(models)
    for model in metadata["models"]:
        model["bytes"] = (models / model["file"]).stat().st_size
    if output.exists() and not (output / "files.js").exists():
        raise FileExistsError(f"{output} is not an earlier build; name another --output")
    with _appearing_whole(output) as folder:
        # Without the old modification times: to a browser that asks, what is built now is newer.
        shutil.copytree(HERE / "page", folder, copy_function=shutil.copyfile)
        for model in metadata["models"]:
            shutil.copy(models / model["file"], folder / model["file"])
        (folder / "metadata.json").write_text(json.dumps(metadata))
        copy_runtime(folder)
        _list_for_offline(folder)


def read_metadata(models):
    """Read and check what `metadata.json` says of the models beside it, whoever wrote it.

    Raises:
        FileNotFoundError: The file, or one that it names, is missing.
        ValueError: It is no such JSON, or a name in it is not that of a plain file beside it.
    """
    metadata = json.loads((models / "metadata.json").read_text())
    entries = metadata.get("models") if isinstance(metadata, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError('metadata.json has no list of "models"')
    for entry in entries:
        name = entry.get("file")
        # Nothing in it can lead to another folder, or be a file of the page.
        if not isinstance(name, str) or not _MODEL_FILE.fullmatch(name):
            raise ValueError(
                f"metadata.json names the file {name!r}; it must be the name of a .tflite file "
                "beside it, of letters, digits and _ . -"
            )
        file = models / name
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise ValueError(f"{name} in {models} is no plain file")
    return metadata


@contextlib.contextmanager
def _appearing_whole(output):
    """A folder to make, which replaces `output` only when the block ends without an error."""
    folder = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        yield folder
        if output.exists():
            shutil.rmtree(output)
        folder.rename(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy_runtime(folder):
    """Copies LiteRT.js from `node_modules` to `folder`/litert; WebAssembly gzipped, too: a third.

    Raises:
        FileNotFoundError: LiteRT.js is not installed.
        ValueError: It imports its other package in a way that this function does not know.
    """
    if not PACKAGES.exists():
        raise FileNotFoundError(f"LiteRT.js is not installed: run `npm ci` in {HERE}")
    target = Path(folder) / "litert"
    (target / "wasm").mkdir(parents=True)
    # Browsers resolve a bare "@litertjs/wasm-utils" only with an inline import map, which a strict
    # Content-Security-Policy forbids; a relative name needs none.
    core = (PACKAGES / "core/dist/index.js").read_text()
    bare = 'from "@litertjs/wasm-utils"'
    if bare not in core:
        raise ValueError(f"@litertjs/core has no {bare} any more; copy_runtime must be adapted")
    (target / "index.js").write_text(core.replace(bare, 'from "./wasm-utils.js"'))
    shutil.copy(PACKAGES / "wasm-utils/dist/index.js", target / "wasm-utils.js")
    for name in RUNTIMES:
        shutil.copy(PACKAGES / "core/wasm" / f"{name}.js", target / "wasm")
        code = (PACKAGES / "core/wasm" / f"{name}.wasm").read_bytes()
        (target / "wasm" / f"{name}.wasm").write_bytes(code)
        (target / "wasm" / f"{name}.wasm.gz").write_bytes(gzip.compress(code, 6, mtime=0))


def pack_mask(mask, height, width):
    """Make the metadata's record of the first layer's mask, with one tile per unit.

    Args:
        mask: Boolean array, units on its last axis, `height * width` weights each.
        height: Rows of a tile.
        width: Columns of a tile.

    >>> pack_mask(np.array([[True, False], [True, True]]), height=2, width=1)
    {'tiles': 2, 'height': 2, 'width': 1, 'bits': '0A=='}
    """
    tiles = np.asarray(mask, bool).reshape(height * width, -1).T
    bits = b64encode(np.packbits(tiles).tobytes()).decode()
    return {"tiles": len(tiles), "height": height, "width": width, "bits": bits}


def _list_for_offline(output):
    """Writes the list of what the service worker keeps; it adds the runtime its browser needs."""
    files = sorted(path for path in output.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(output)).encode() + b"\0" + path.read_bytes())
    names = [str(path.relative_to(output)) for path in files]
    unkept = ("litert/wasm/", "service-worker.js")
    kept = {
        "version": digest.hexdigest()[:16],
        "files": [name for name in names if not name.startswith(unkept)],
    }
    (output / "files.js").write_text(f"self.kept = {json.dumps(kept, indent=1)};\n")


def main(argv):
    """Builds from the flags."""
    script.refuse_arguments(argv)
    try:
        build(FLAGS.models, FLAGS.output)
    except (OSError, ValueError, RecursionError) as error:
        sys.exit(f"build: {error}")
    size = sum(path.stat().st_size for path in Path(FLAGS.output).rglob("*.tflite"))
    print(f"{FLAGS.output}: the page, with {size:,} bytes of models")


FLAGS = flags.FLAGS
if __name__ == "__main__":
    flags.DEFINE_string("models", str(HERE / "build"), "Folder with metadata.json and its models.")
    flags.DEFINE_string("output", str(HERE / "dist"), "Folder to make.")
    app.run(main)
