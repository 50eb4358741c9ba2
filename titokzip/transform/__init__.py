"""A lapped transform of the whole image, and the order of its coefficients."""
