"""The two ways in which an image becomes tokens: square tiles, and a transform of the whole."""
