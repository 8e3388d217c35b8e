"""Frozen networks from audio, image or text to float32 features: one network, one module, found by its ``ENCODERS``."""

from functools import cache
from importlib import import_module

from a2ibench.encoders.base import Encoder, EncoderKind
from a2ibench.errors import unknown
from a2ibench.registry import by_name, modules_of, plugins

__all__ = ["Encoder", "EncoderKind", "get"]


def get(name: str) -> EncoderKind:
    """Find the declaration of an encoder by its name.

    The module of its name is looked at first, then that which it begins with (``clip-image`` in ``clip``): importing
    all of them takes seconds, since each imports its own libraries.

    Raises
    ------
    A2IBenchError
        For an unknown name; the sentence gives the nearest one.

    """
    stems = (name.replace("-", "_"), name.partition("-")[0])
    for stem in (f"{__name__}.{stem}" for stem in stems):
        for kind in getattr(import_module(stem), "ENCODERS", ()) if stem in modules_of(__name__) else ():
            if kind.name == name:
                return kind  # type: ignore[no-any-return]
    if name not in encoders():
        raise unknown("encoder", name, encoders())
    return encoders()[name]


@cache
def encoders() -> dict[str, EncoderKind]:
    """Find every encoder that a module of this package, or a plug-in, declares, by name."""
    modules = [*(import_module(each) for each in modules_of(__name__)), *plugins()]
    return by_name((kind, module.__name__) for module in modules for kind in getattr(module, "ENCODERS", ()))
