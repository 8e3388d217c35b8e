"""``python -m a2ibench.suites.mini.build.training_pictures``: write the index of the training split's pictures.

By it copies of them are known: the pictures of `training_clips`, shrunk. Three seconds.
"""

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from a2ibench.files import write_bytes
from a2ibench.media.image import thumbnail
from a2ibench.suites import load_suite
from a2ibench.suites.mini import world


def rows(count: int) -> NDArray[np.uint8]:
    """Draw and shrink the first pictures of the training split, [count, 192]."""
    return np.stack([thumbnail(world.render(world.draw_scene("train", index))) for index in range(count)])


if __name__ == "__main__":
    suite = load_suite("mini")
    assert suite.file.training_pictures  # noqa: S101
    found = save({"rows": rows(int(suite.file.training["clips"]))}, metadata={"name": "mini-train"})
    write_bytes(suite.folder / suite.file.training_pictures, found)
