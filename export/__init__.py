"""Scripts around the TFLite exporter; each says what it does with `--help`."""
