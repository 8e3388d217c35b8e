"""Draw docs/human.png: a study answered by simulated raters, since no real one is published here.

python docs/human_example.py
"""

from pathlib import Path

import numpy as np

from a2ibench.media.image import save_image
from a2ibench.rating.aggregate import aggregate
from a2ibench.rating.picture import human_picture
from a2ibench.rating.readers import Answer, Ratings
from a2ibench.rating.study import Item, Study
from a2ibench.tasks import get

REAL = get("audio-to-image").real
# Before rounding; the spreads of raters, clips and everything else are added.
QUALITY = {"audiotoken": 4.1, "sd-text": 3.3, "wav2clip": 1.9, REAL: 5.0}
RATERS, CLIPS = 17, 15


def _item(number: int, clip: int, method: str) -> Item:
    return Item(
        item=f"{number:012x}", clip_id=f"clip-{clip:02d}", label="bell ringing",
        kind="control" if method == REAL else "main", methods=[method], images=["0" * 64], shown=["0" * 12 + ".webp"],
    )  # fmt: skip


def main() -> None:
    """Simulate 17 raters of 15 clips and draw what `a2ibench rate aggregate` draws of them."""
    wanted = [(clip, method) for method in QUALITY for clip in range(CLIPS if method != REAL else 5)]
    items = [_item(number, clip, method) for number, (clip, method) in enumerate(wanted)]
    study = Study(
        title="Simulated raters: how relevant are these images?", design="likert", seed=0, question="q",
        instructions="", consent="", scale={}, exclusion={}, suite="mini@1", clips="0",
        methods=[method for method in QUALITY if method != REAL], salt="0" * 32, runs={}, items=items,
    )  # fmt: skip
    rng = np.random.default_rng(5)
    raters, clips, images = rng.normal(0, 0.4, RATERS), rng.normal(0, 0.35, CLIPS), rng.normal(0, 0.35, len(items))
    answers = []
    for rater in range(RATERS):
        for item, (clip, method), image in zip(items, wanted, images, strict=True):
            value = QUALITY[method] + raters[rater] + clips[clip] + image + rng.normal(0, 0.7)
            answers.append(Answer(f"R{rater:02d}", item.item, int(np.clip(np.rint(value), 1, 5)), 3.0, None))
    human = aggregate(Ratings(tuple(answers), ("simulated",), 0, ()), study)
    save_image(Path(__file__).with_name("human.png"), human_picture(human))


if __name__ == "__main__":
    main()
