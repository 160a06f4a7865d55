"""Makes the page's models: `python -m export.web.train --data_dir=... --output=DIR`.

They learn MNIST where `--data_dir` holds it, else the small digits of scikit-learn; the page says
which. `export.web.build` makes the page from the folder.
"""

import json
import sys
from pathlib import Path

from absl import app, flags

from export.web import build
from keras_lottery.commands import script


def main(argv):
    """Trains with the flags' settings and prints the results."""
    script.begin(argv)
    from export.web import models

    folder = Path(FLAGS.output)
    try:
        dataset = models.load(FLAGS.data_dir, FLAGS.limit)
        print(f"Training three networks on {dataset.name}: a minute or two.", flush=True)
        models.write_models(folder, dataset)
    except (OSError, ValueError) as error:
        sys.exit(f"train: {error}")
    for model in json.loads((folder / "metadata.json").read_text())["models"]:
        size = (folder / model["file"]).stat().st_size
        print(f"{model['name']:16} {size:10,} bytes  {model['accuracy']:.2%} right")


FLAGS = flags.FLAGS
if __name__ == "__main__":
    flags.DEFINE_string("data_dir", None, "TensorFlow Datasets' folder with MNIST in it.")
    flags.DEFINE_string("output", str(build.HERE / "build"), "Folder to make.")
    flags.DEFINE_integer("limit", None, "Most training, and most test images.", lower_bound=1)
    app.run(main)
