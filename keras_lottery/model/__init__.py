"""The variables and optimizers of a `keras.Model`: their names, owners and state."""
