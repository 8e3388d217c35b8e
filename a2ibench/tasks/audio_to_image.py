"""Images from sound: AudioToken (arXiv 2305.13050)."""

from a2ibench.tasks.base import Task
from a2ibench.tasks.questions import Question

_LIKERT = Question(
    title="How relevant are these images?",
    text="How relevant is this image to “{label}”?",
    instructions=(
        "You will see images, one at a time, each with the name of a sound. Say how relevant each image is to that "
        "name, from 1 (not at all) to 5 (very relevant).\n\n"
        "Judge only whether the image shows what would make the sound, not how beautiful it is. There are no right or "
        "wrong answers. You can go back, and you can stop and go on later."
    ),
    gives="label",
    low="not at all relevant",
    high="very relevant",
)
_PAIRWISE = Question(
    title="Which image fits the sound?",
    text="Which image fits the sound better?",
    instructions=(
        "You will hear a sound and see two images. Choose the image that fits the sound better.\n\n"
        "Judge only what you hear: what makes the sound, how many there are, how near or large. Not which image is "
        "more beautiful. If both fit equally well, choose the one you would rather believe. You can hear a sound "
        "again, go back, and stop and go on later. Please wear headphones, or sit in a quiet place."
    ),
    gives="condition",
)

TASKS = (
    Task(
        name="audio-to-image",
        summary="an image for each sound",
        columns={"audio": "audio", "image": "image"},
        condition="audio",
        reference="image",
        output="image",
        lead="How good is each method at drawing what it hears, and which differences are more than luck?",
        metrics=("AIS", "AIS.same-class", "IIS", "IIS.same-class", "AIC", "FID", "KID"),
        questions={"likert": _LIKERT, "pairwise": _PAIRWISE},
        suite="mini",
    ),
)
