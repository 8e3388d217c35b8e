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
        metrics=("AIS", "AIS.same-class", "IIS", "IIS.same-class", "AIC", "FID", "KID"),
    ),
)
