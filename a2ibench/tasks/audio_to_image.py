"""Images from sound: AudioToken (arXiv 2305.13050)."""

from a2ibench.tasks.base import Task

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
    ),
)
