"""The settings of AudioToken's training: the paper's, with a name for everything that its authors' code does otherwise.

The defaults are the paper's (arXiv 2305.13050): AdamW at 8e-5, batch 8, 60,000 steps, random crops of 5 s. The released
code (guyyariv/AudioToken, commit ab7d280) departs from them and from us; ``recipe=authors`` is its way, setting by
setting, and docs/training.md says why ours are the default.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from a2ibench.encoders import beats
from a2ibench.errors import A2IBenchError, unknown

MOST_FEATURES = 8e9  # bytes: what `auto` keeps of audio features
WINDOW = 10  # seconds: what the authors' code makes every sound before it crops
CHOICES = {
    "schedule": ("constant", "cosine"),
    "cache": ("auto", "features", "latents"),
    "mixed_precision": ("no", "fp16", "bf16"),
    "cl_form": ("clip", "batch"),
    "cl_target": ("input", "encoder"),
    "frame": ("crop", "squash"),
    "channel": ("mix", "first"),
    "crop_starts": ("anywhere", "seconds"),
}
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "authors": {
        "batch_size": 4,
        "lr": None,  # 1e-5 × all that a step sees
        "clip_gradient": 0.0,
        "cl_form": "batch",
        "cl_target": "input",
        "frame": "squash",
        "channel": "first",
        "resample": False,
        "crop_starts": "seconds",
    },
}
# What may be another when a training goes on: it changes no weight.
FREE = ("workers", "trackers", "validate_every", "sample_every")
_TRACKERS = ("tensorboard", "wandb", "none")


@dataclass(frozen=True)
class Config:
    """The settings of a training.

    Attributes
    ----------
    steps, lr, schedule, weight_decay, seed
        Of AdamW: ``schedule`` is constant, or cosine after a short rise.
    batch_size
        Clips of a batch, of all processes together.
    accumulate
        Batches of a step.
    lambda_l1, lambda_cl
        The weights of mean|token| and of the classification loss.
    prompt, crop_seconds, size
        The sentence with the placeholder; seconds of sound heard at once; pixels of the picture's side.
    cache, crops
        What is computed once: ``features`` (the sound's, of ``crops`` fixed crops, and the picture's latents),
        ``latents`` (alone; the sound is read and heard in every step, any crop of it), or ``auto``: features where
        they take `MOST_FEATURES` bytes at most.
    workers
        Processes that read for each training process; -1 for up to eight where ``cache=latents``, else none.
    mixed_precision, compile
        ``no``, ``fp16`` or ``bf16``; compile the UNet.
    clip_gradient
        The largest norm of a step's gradient; 0 for any.
    cl_form
        The classification loss: ``clip`` for mean (1 − cos)², ``batch`` for (1 − mean cos)².
    cl_target
        What the token is compared with: the mean of the label's ``input`` embeddings, or of the text ``encoder``'s
        outputs at the label's tokens.
    frame
        ``crop`` the middle square of a picture, or ``squash`` all of it to size × ⅝ size.
    channel, resample
        ``mix`` the channels or take the ``first``; bring sounds to 16 kHz, or take their samples as they are for it.
    crop_starts
        ``anywhere``, or whole ``seconds`` from 0 to 9 − crop_seconds of a sound repeated to 10 s.
    trackers
        ``tensorboard``, ``wandb``, both with a comma, or ``none``.
    validate_every, sample_every
        Steps between validation losses, and between sheets of images; 0 for none.
    held_out
        How many training clips are kept for both, and not trained on.

    """

    steps: int = 60_000
    batch_size: int = 8
    accumulate: int = 1
    lr: float = 8e-5
    schedule: str = "constant"
    weight_decay: float = 0.01
    lambda_l1: float = 0.01
    lambda_cl: float = 0.0
    prompt: str = "a photo of <*>"
    crop_seconds: float = 5.0
    crops: int = 4
    size: int = 512
    cache: str = "auto"
    workers: int = -1
    mixed_precision: str = "no"
    compile: bool = False
    seed: int = 0
    clip_gradient: float = 1.0
    cl_form: str = "clip"
    cl_target: str = "input"
    frame: str = "crop"
    channel: str = "mix"
    resample: bool = True
    crop_starts: str = "anywhere"
    trackers: str = "tensorboard"
    validate_every: int = 0
    sample_every: int = 0
    held_out: int = 64

    @property
    def watched(self) -> bool:
        """Whether clips are held out."""
        return bool(self.validate_every or self.sample_every)

    @property
    def picture(self) -> tuple[int, int]:
        """Width and height of what the autoencoder sees."""
        return (self.size, self.size) if self.frame == "crop" else (self.size, max(8, 8 * round(self.size * 5 / 64)))

    @property
    def whole_seconds(self) -> int:
        """How many places a crop may begin at where ``crop_starts`` is seconds."""
        return max(1, int(WINDOW - self.crop_seconds))

    @property
    def fixed_crops(self) -> int:
        """How many crops of a clip are computed once."""
        return self.crops if self.crop_starts == "anywhere" else self.whole_seconds

    def claimed(self) -> dict[str, Any]:
        """Give what a folder with a training must agree in."""
        held_out = self.held_out if self.watched else 0
        return {k: v for k, v in asdict(replace(self, held_out=held_out)).items() if k not in FREE}


def configure(settings: Mapping[str, Any]) -> Config:
    """Make settings from those of the user, which win, and of the recipe that they may name.

    Raises
    ------
    A2IBenchError
        For an unknown name or recipe, or a value of another kind or out of range.

    """
    given = dict(settings)
    recipe = given.pop("recipe", "paper")
    if recipe not in RECIPES:
        raise unknown("recipe", str(recipe), RECIPES)
    defaults = asdict(Config())
    for name in given:
        if name not in defaults:
            raise unknown("setting of AudioToken's training", name, [*defaults, "recipe"])
    found = {**defaults, **RECIPES[recipe], **given}
    if found["lr"] is None and "lr" not in given:
        seen = [_checked(name, found[name], defaults[name]) for name in ("batch_size", "accumulate")]
        found["lr"] = 1e-5 * seen[0] * seen[1]
    return Config(**{name: _checked(name, value, defaults[name]) for name, value in found.items()})


_LEAST = {
    **dict.fromkeys(("steps", "batch_size", "accumulate", "crops", "size", "held_out"), 1),
    "workers": -1,
    "seed": 0,
    "validate_every": 0,
    "sample_every": 0,
}


def _checked(name: str, value: Any, default: Any) -> Any:
    """Give a value in its kind; A2IBenchError where it has another, or is out of range."""
    kind = type(default)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
        raise A2IBenchError(f"The setting {name} of AudioToken's training is {words[kind]}; found {value!r}.")
    if name in CHOICES and value not in CHOICES[name]:
        raise unknown(name.replace("_", " "), value, CHOICES[name])
    if name == "trackers":
        for each in value.split(","):
            if each not in _TRACKERS:
                raise unknown("tracker", each, _TRACKERS)
    if kind in (int, float):
        least = _LEAST.get(name, 0)
        if not least <= value < 2**53:  # not a number is refused too
            raise A2IBenchError(f"The setting {name} of AudioToken's training is at least {least}; found {value}.")
    return value


def settled(config: Config, clips: int, width: int) -> Config:
    """Decide what ``cache=auto`` means for a number of clips and audio features of a width.

    By their size alone, not by the free space: the same clips give the same training anywhere.
    """
    if config.cache != "auto":
        return config
    frames = 1 + (round(config.crop_seconds * beats.RATE) - 400) // 160
    taken = 2 * clips * config.fixed_crops * (frames // 16 * 8) * width
    return replace(config, cache="features" if taken <= MOST_FEATURES else "latents")


def check_share(config: Config, processes: int) -> None:
    """Refuse a batch that can't be split evenly over the processes."""
    if config.batch_size % processes:
        most = max(1, config.batch_size // processes) * processes
        raise A2IBenchError(
            f"A batch of {config.batch_size} can't be split evenly over {processes} processes; "
            f"give --batch-size {most}, or another number of processes."
        )


def names() -> list[str]:
    """Name the settings."""
    return [field.name for field in fields(Config)]
