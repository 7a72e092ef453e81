"""The ensemble behind a request: one upload in, one verdict out."""
