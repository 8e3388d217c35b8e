"""The kinds of sounding thing and the places, and the words for them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of sounding thing: its object (image category), its event (audio label), and words to tell of it.

    ``verbs`` are pairs of singular and plural: the first is for training captions, the others for test captions.
    """

    name: str
    object: str
    plural: str
    event: str
    verbs: tuple[tuple[str, str], ...]
    broader: str | None = None


KINDS: tuple[Kind, ...] = (
    Kind("bell", "bell", "bells", "church bell ringing", (("rings", "ring"), ("tolls", "toll"))),
    Kind("frog", "frog", "frogs", "frog croaking", (("croaks", "croak"), ("calls", "call"))),
    Kind("bird", "bird", "birds", "bird chirping", (("chirps", "chirp"), ("sings", "sing"))),
    Kind("owl", "owl", "owls", "owl hooting", (("hoots", "hoot"), ("calls", "call")), "bird"),
    Kind("drum", "drum", "drums", "drum beating", (("beats", "beat"), ("is hit", "are hit")), "instrument"),
    Kind("guitar", "guitar", "guitars", "guitar strumming", (("strums", "strum"), ("plays", "play")), "instrument"),
    Kind("violin", "violin", "violins", "violin playing", (("plays", "play"), ("is bowed", "are bowed")), "instrument"),
    Kind("train", "train", "trains", "train whistling", (("whistles", "whistle"), ("honks", "honk")), "vehicle"),
    Kind("ship", "ship", "ships", "ship horn blowing", (("blows", "blow"), ("honks", "honk")), "vehicle"),
    Kind("siren", "police car", "police cars", "siren wailing", (("wails", "wail"), ("howls", "howl")), "vehicle"),
    Kind("bee", "bee", "bees", "bee buzzing", (("buzzes", "buzz"), ("hums", "hum"))),
    Kind("thunder", "storm cloud", "storm clouds", "thunder rumbling", (("rumbles", "rumble"), ("booms", "boom"))),
)
CATEGORIES: tuple[str, ...] = tuple(kind.object for kind in KINDS)
LABELS: tuple[str, ...] = tuple(kind.event for kind in KINDS)
PLACES: tuple[str, ...] = ("meadow", "sea", "rain", "hall")
WHERE: tuple[str, ...] = ("in a meadow", "by the sea", "in the rain", "in a hall")
"""How a caption names each place."""
WHERE_ELSE: tuple[str, ...] = ("among crickets", "while waves roll", "while it rains", "with an echo")
"""How a test caption may name it: by what is heard of it."""
