"""File formats: paintings, images, videos, vectors, checkpoints."""
