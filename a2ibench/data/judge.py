"""Which frame stands for a clip, and whether what is seen in it agrees with what is heard.

AudioToken, arXiv 2305.13050: the frame with the highest CLIP score to the label; clips whose image and sound are
classified as different things are left out. What the paper leaves open is in `Settings`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from a2ibench.data.decode import Decoded, Moment
from a2ibench.data.tagger import CLASSES, RATE, Tagger
from a2ibench.encoders.base import Encoder
from a2ibench.suites import Suite, load_suite
from a2ibench.weights.fetch import locate

VERSION = 2  # raised whenever the same video may give another sound or frame


@dataclass(frozen=True)
class Settings:
    """Every choice that decides which clips there are, and what they look and sound like."""

    suite: str = "vggsound"
    """Its CLIP, image classifier and audio classifier (BEATs) judge."""
    clip_seconds: float = 10.0
    """How long a clip of the corpus is; the audio classifier hears so much at once."""
    frames_per_second: float = 2.0
    """How many frames a second there are to choose from: of ten seconds twenty, spread evenly."""
    prompt: str = "{}"
    """What CLIP compares a frame with; {} is the label."""
    side: int = 512
    """The longest that the shorter side of the kept frame may be, in pixels; 0 keeps its size."""
    shortest: float = 9.0
    """Clips whose picture or sound lasts less, in seconds, are dropped."""
    drop_still: bool = False
    """Whether clips that show one picture all the time are dropped."""
    filter: bool = True
    """Whether clips are dropped whose image and sound are classified as different things."""
    agreement: float = 0.75
    """They agree where the cosine of the two classes' names in CLIP is above this: AIC's rule."""
    top: int = 1
    """How many of the audio classifier's first choices may agree."""
    audio_classes: str = ""
    """The user's own list of AudioSet's classes."""
    columns: tuple[str, ...] = ("audio", "image")
    """What is made of a video, by the columns of the task: its sound, the frame, the video without its sound."""
    rate: int = 0
    """Samples a second of the sound, which is then mono; 0 keeps its rate and channels."""

    @property
    def looks(self) -> bool:
        """Whether any network is needed: to choose a frame, or to filter."""
        return self.filter or "image" in self.columns

    def choices(self) -> dict[str, Any]:
        """Give all choices but the path of the user's list, whose names stand for it among the encoders."""
        return {name: value for name, value in asdict(self).items() if name != "audio_classes"}

    def digest(self, encoders: Mapping[str, str]) -> str:
        """Name everything that a clip depends on but its video and label: 64 hex digits."""
        chosen = {**self.choices(), "encoders": dict(encoders), "version": VERSION}
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Verdict:
    """What the networks say of a clip: the frame, and what is seen and heard."""

    moment: Moment | None = None
    clip_score: float | None = None
    image_class: str = ""
    image_probability: float = 0.0
    audio_class: str = ""
    audio_probability: float = 0.0
    agreement: float | None = None

    def agrees(self, threshold: float) -> bool:
        """Whether the sound and the picture are of one thing, as far as was asked."""
        return self.agreement is None or self.agreement > threshold


class Judge:
    """The three networks. What it says of a clip depends on nothing but that clip: no batch holds two."""

    def __init__(self, settings: Settings, device: str = "cpu"):
        self.settings, self.device = settings, device
        self.suite: Suite = load_suite(settings.suite)
        check_networks(self.suite, settings)
        self._text_rows: dict[str, NDArray[np.float64]] = {}

    @cached_property
    def image_encoder(self) -> Encoder:
        """CLIP's image tower."""
        return self.suite.encoder("clip-image", self.device)

    @cached_property
    def text_encoder(self) -> Encoder:
        """CLIP's text tower."""
        return self.suite.encoder("clip-text", self.device)

    @cached_property
    def classifier(self) -> Any:
        """The image classifier."""
        return self.suite.encoder("classifier", self.device)

    @cached_property
    def tagger(self) -> Tagger:
        """The audio classifier."""
        classes = Path(self.settings.audio_classes) if self.settings.audio_classes else None
        return Tagger(self.suite, self.device, self.settings.clip_seconds, classes)

    def encoders(self) -> dict[str, str]:
        """Name the networks, which loads them: an error in one is told before any work."""
        if not self.settings.looks:
            return {}
        found = {"clip-image": self.image_encoder.id, "clip-text": self.text_encoder.id}
        if self.settings.filter:
            names = hashlib.sha256("\n".join(self.tagger.names).encode()).hexdigest()[:12]
            found |= {"classifier": self.classifier.id, "audio": f"{self.tagger.id}:{names}"}
        return found

    def judge(self, clip: Decoded, label: str) -> Verdict:
        """Choose the frame nearest to the label; with the filter on also classify that frame and the sound."""
        if not self.settings.looks:
            return Verdict()
        scores = self.frame_scores([moment.image for moment in clip.moments], label)
        best = int(scores.argmax())  # of equal ones the first
        moment, score = clip.moments[best], round(float(scores[best]), 6)
        if not self.settings.filter:
            return Verdict(moment, score)
        seen, seen_probability = self.see(moment.image)
        heard = self.hear(mono(clip.sound, clip.rate))
        row = self._text(seen)
        agreement = max(float(row @ self._text(name)) for name, _ in heard)
        return Verdict(moment, score, seen, seen_probability, *heard[0], round(agreement, 6))

    def frame_scores(self, images: Sequence[Image.Image], label: str) -> NDArray[np.float64]:
        """Compare frames with the label: cosines, ``[frames]``."""
        rows = unit(self.image_encoder.encode_together(list(images)))
        return rows @ self._text(self.settings.prompt.replace("{}", label))

    def see(self, image: Image.Image) -> tuple[str, float]:
        """Name what the image classifier sees first, and its probability."""
        logits = self.classifier.encode_together([image])[0].astype(np.float64)
        odds = np.exp(logits - logits.max())
        best = int(logits.argmax())
        return self.classifier.categories[best], round(float(odds[best] / odds.sum()), 6)

    def hear(self, wave: NDArray[np.float32]) -> list[tuple[str, float]]:
        """Name what the audio classifier hears first, the likeliest in front: as many as `Settings.top`."""
        tags = self.tagger.hear(wave)
        order = np.argsort(-tags, kind="stable")[: self.settings.top]
        return [(self.tagger.names[index], round(float(tags[index]), 6)) for index in order]

    def _text(self, text: str) -> NDArray[np.float64]:
        """Encode a text by itself, once."""
        if text not in self._text_rows:
            self._text_rows[text] = unit(self.text_encoder.encode_together([text]))[0]
        return self._text_rows[text]


def check_networks(suite: Suite, settings: Settings) -> None:
    """Find all weights, so that what is absent is named before any work; nothing is loaded."""
    if not settings.looks:
        return
    suite.check_encoders(["clip-image", *(["classifier"] if settings.filter else [])])
    if settings.filter:
        part = suite.part("beats")
        part.resolve()
        if "config" not in part.config and not settings.audio_classes:
            locate(CLASSES)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scale rows to unit length."""
    wide = rows.astype(np.float64)
    scaled: NDArray[np.float64] = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return scaled


def mono(sound: NDArray[np.int16], rate: int, wanted: int = RATE) -> NDArray[np.float32]:
    """Mix a sound ``[samples, channels]`` down and resample it, as `read_audio` does for every encoder."""
    import soxr

    wave: NDArray[np.float32] = (sound.mean(axis=1, dtype=np.float64) / 32768).astype(np.float32)
    if rate == wanted:
        return wave
    resampled: NDArray[np.float32] = soxr.resample(wave, rate, wanted, quality="HQ")
    return resampled
