"""Captions of a scene: one for training, five others for tests, and varied ones for networks that see images."""

import numpy as np

from a2ibench.suites.mini.world.kinds import KINDS, WHERE, WHERE_ELSE
from a2ibench.suites.mini.world.scenes import Event, Scene

_NUMBERS = ("one", "two", "three", "four")
_TIMES = ("", " twice", " three times", " four times")
_SIZES = ("small", "", "large")
_OTHER_SIZES = ("little", "", "big")


def _size_word(scene: Scene, words: tuple[str, str, str] = _SIZES) -> str:
    return words[min(2, int(scene.size * 3))]


def _things(event: Event, size: str, *, number: bool = True, article: bool = False) -> str:
    """Name the things of an event: "two small frogs", "a bell"; without their number "small frog"."""
    kind = KINDS[event.kind]
    noun = kind.object if event.count == 1 or not number else kind.plural
    words = [size, noun] if size else [noun]
    if number and article and event.count == 1:
        words.insert(0, "an" if words[0][0] in "aeiou" else "a")
    elif number:
        words.insert(0, _NUMBERS[event.count - 1])
    return " ".join(words)


def _deeds(scene: Scene, size: str, verb: int) -> list[str]:
    """Tell each event as a clause: "two small frogs croak"."""
    return [
        f"{_things(event, size, article=True)} {KINDS[event.kind].verbs[verb][min(event.count, 2) - 1]}"
        for event in scene.events
    ]


def caption(scene: Scene, *, count: bool = True, size: bool = True, place: bool = True) -> str:
    """Describe what is seen: "two small frogs in the rain"; a middling size has no word."""
    word = _size_word(scene) if size else ""
    things = " and ".join(_things(event, word, number=count) for event in scene.events)
    return f"{things} {WHERE[scene.place]}" if place else things


def photo_caption(scene: Scene, rng: np.random.Generator) -> str:
    """Draw one of the ways to caption an image: mostly object, count, size and place; sometimes less, or the event."""
    kind = KINDS[scene.kind]
    way = rng.random()
    if way < 0.16:
        text = scene.label
        if rng.random() < 0.4:
            text += f" {WHERE[scene.place]}"
    elif way < 0.20 and kind.broader and len(scene.events) == 1:
        text = kind.broader
    else:
        text = caption(scene, count=rng.random() < 0.7, size=rng.random() < 0.7, place=rng.random() < 0.6)
    return f"a photo of {text}" if rng.random() < 0.6 else text


def training_caption(scene: Scene) -> str:
    """Tell a scene as its one caption in training does: "two small frogs croak in the rain, then a bell rings"."""
    rng = np.random.default_rng([scene.seed, 4])
    word = _size_word(scene) if rng.random() < 0.8 else ""
    clauses = _deeds(scene, word, verb=0)
    if rng.random() < 0.7:
        clauses[0] += f" {WHERE[scene.place]}"
    joint = (", then ", " and then ", ", followed by ")[rng.integers(3)]
    if joint == ", followed by " and len(clauses) == 2:
        clauses[1] = _things(scene.events[1], word, article=True)
    return joint.join(clauses)


def test_captions(scene: Scene) -> tuple[str, str, str, str, str]:
    """Tell a scene in five other ways than in training; the first names all that is heard."""
    size, other = _size_word(scene), _size_word(scene, _OTHER_SIZES)
    first = _deeds(scene, size, verb=0)
    calls = _deeds(scene, other, verb=1)
    named = [_things(event, size, article=True) for event in scene.events]
    events = [f"{KINDS[event.kind].event}{_TIMES[event.count - 1]}" for event in scene.events]
    where, heard = WHERE[scene.place], WHERE_ELSE[scene.place]
    return (
        f"{where}, {' and after that '.join(first)}",
        f"{', then '.join(calls)} {heard}",
        f"the sound of {' and later '.join(named)} {where}",
        f"{', then '.join(events)} {where}",
        f"first {calls[0]}, next {calls[1]}" if len(calls) == 2 else f"{calls[0]} {where}",
    )


test_captions.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest thinks
