"""Sounds from captions: Re-AudioLDM (arXiv 2309.08051)."""

from a2ibench.tasks.base import Task
from a2ibench.tasks.questions import QUALITY, RELEVANCE

TASKS = (
    Task(
        name="text-to-audio",
        summary="a sound for each caption",
        columns={"caption": "text", "audio": "audio"},
        optional={"events": "text", "source": "text"},
        condition="caption",
        reference="audio",
        output="audio",
        lead="How good does each method sound what a caption tells, also where it is rare, and is a difference luck?",
        metrics=("FAD", "KL", "IS", "CLAP", "CLAP.tail", "CLAP.many"),
        aspects={"rel": RELEVANCE, "ovr": QUALITY},
    ),
)
