"""What there is to know of a `keras.Model`, its variables and its optimizers."""
