"""Sounds for silent videos: FoleyGen (arXiv 2309.10537)."""

from a2ibench.tasks.base import Task
from a2ibench.tasks.questions import ALIGNMENT, QUALITY, RELEVANCE

TASKS = (
    Task(
        name="video-to-audio",
        summary="a sound for each silent video",
        columns={"video": "video", "audio": "audio"},
        # Where it is known: the seconds at which something begins (ONSET), and which kinds begin (EVENTS).
        optional={"onsets": "text", "events": "text"},
        condition="video",
        reference="audio",
        output="audio",
        lead="How good is each method at hearing what it sees, and at the right moment, and is a difference luck?",
        metrics=("FAD", "KL", "IB", "ONSET"),
        aspects={"rel": RELEVANCE, "ovr": QUALITY, "ali": ALIGNMENT},
        suite="mini-foley",
    ),
)
