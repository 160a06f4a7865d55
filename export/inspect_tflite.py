"""Reports on .tflite files, whoever made them, as `keras-lottery inspect` does.

  python -m export.inspect_tflite model.tflite
  python -m export.inspect_tflite --format=json a.tflite b.tflite
  python -m export.inspect_tflite --measure model.tflite

Exits with 1 if a file cannot be read, or some runtime would compute it wrongly or refuse it.
"""

from keras_lottery.commands import command
from keras_lottery.commands.inspect import add_arguments, run

if __name__ == "__main__":
    command.run_script("inspect_tflite", __doc__, add_arguments, run)
