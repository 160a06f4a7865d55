"""Reports on .tflite files, whoever made them: bytes, how weights are computed, and defects.

  python -m export.inspect_tflite model.tflite
  python -m export.inspect_tflite --format=json a.tflite b.tflite
  python -m export.inspect_tflite --measure model.tflite

Exits with 1 if a file cannot be read, or some runtime would compute it wrongly or refuse it.
"""

import sys

from absl import app, flags

FLAGS = flags.FLAGS

_RENDER = {
    "table": str,
    "markdown": lambda report: report.markdown(),
    "json": lambda report: report.json(),
}


def main(argv):
    """Prints the report of every file that the command line names."""
    if len(argv) < 2:
        sys.exit("inspect_tflite: name one .tflite file or more. See --help.")
    from experiments import quiet

    quiet.import_tensorflow()
    from keras_lottery.exporters import tflite
    from keras_lottery.exporters.tflite import inspection, report
    from keras_lottery.exporters.tflite.format.names import printable
    from keras_lottery.exporters.tflite.runtimes import measure

    sound = True
    for path in argv[1:]:
        try:
            found = report.of(inspection.contents_of(path), path=path)
        except (OSError, tflite.FlatbufferError) as error:
            print(f"inspect_tflite: {printable(f'{path}: {error}')}", file=sys.stderr)
            sound = False
            continue
        if FLAGS.measure:
            found = found.measured(measure.measure([path], seconds=FLAGS.seconds))
        print(_RENDER[FLAGS.format](found))
        sound = sound and not found.inspection.defects
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    flags.DEFINE_enum("format", "table", list(_RENDER), "How to print the report.")
    flags.DEFINE_bool("measure", False, "Measure time and memory on this machine as well.")
    flags.DEFINE_float("seconds", 2.0, "How long to measure in each runtime.", lower_bound=0)
    app.run(main)
