"""Features as arrays, for tests that look at them: a row per file, in the order of the files."""

import numpy as np

from a2ibench.encoders import get as get_encoder
from a2ibench.files import sha256_file
from a2ibench.scoring.features import encode_files, encode_texts

text_rows = encode_texts


def image_rows(encoders, paths, batch_size, advance=lambda n: None):
    """By the encoder's name: [n, d]."""
    return {name: np.stack(rows) for name, rows in encode_files(encoders, paths, batch_size, advance).items()}


def audio_rows(encoder, paths, batch_size):
    """[n, d]."""
    return image_rows([encoder], paths, batch_size)[encoder.name]


def load_encoder(name, config, weights, sha256="", device="cpu"):
    """Load an encoder from a file of one's own, named by the file's hash where none is given."""
    return get_encoder(name).load(config, weights, sha256 or sha256_file(weights), device)
