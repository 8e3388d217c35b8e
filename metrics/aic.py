"""AIC, audio-image content: whether the image shows what is heard.

AudioToken, arXiv 2305.13050. An image classifier's top-1 category, an object word ("frog"), matches a clip's
label, an event phrase ("frog croaking"), where the cosine of their texts in CLIP ViT-B/32, **bare names
without a template**, is above 0.75. Text against text, because the paper compares classes with classes, and
an image-text cosine never comes near 0.75. Per clip 0 or 100; the chance level depends on the suite's
classes.
"""

from collections.abc import Callable

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray, Features, FloatArray, IntArray, Metric
from a2ibench.metrics.winrate import TIE, unit_rows

THRESHOLD = 0.75


def _one_space(rows: AnyArray, label_rows: AnyArray, name: str) -> tuple[FloatArray, FloatArray]:
    x, y = unit_rows(rows, name), unit_rows(label_rows, "label/clip-text")
    if x.shape[1] != y.shape[1]:
        raise A2IBenchError(
            f"{name!r} has {x.shape[1]} columns and 'label/clip-text' {y.shape[1]}: take both from one CLIP."
        )
    return x, y


def match_table(category_rows: AnyArray, label_rows: AnyArray) -> FloatArray:
    """Cosine of every category with every label: [C, D] and [K, D] text rows to [C, K].

    A cell above :data:`THRESHOLD` counts as a match. Give distinct labels: :func:`distinct_labels`.
    """
    x, y = _one_space(category_rows, label_rows, "category/clip-text")
    # Not BLAS: its last bit may depend on the place of a row, and a threshold must not.
    return np.asarray(np.einsum("cd,kd->ck", x, y, optimize=False), dtype=np.float64)


def distinct_labels(rows: Features) -> tuple[tuple[str, ...], AnyArray, IntArray]:
    """Give the labels sorted, [K], their text rows, [K, D], and each clip's place in both, [N]."""
    text = rows.per_clip("label/clip-text")
    names, first, place = np.unique(np.array(rows.labels), return_index=True, return_inverse=True)
    differs = np.flatnonzero(~np.isclose(text, text[first[place]], rtol=1e-4, atol=1e-6).all(axis=1))
    if len(differs):
        raise A2IBenchError(
            f"Row {differs[0]} of 'label/clip-text' is not the same as another of its label, "
            f"{rows.labels[differs[0]]!r}: encode each label once."
        )
    return tuple(names.tolist()), text[first], place


def top_category(rows: Features, count: int) -> IntArray:
    """Give the classifier's first choice for each image, [N], from its logits over `count` categories, [N, C]."""
    logits = rows.per_clip("generated/classifier")
    if logits.ndim != 2 or logits.shape[1] != count:
        raise A2IBenchError(
            f"'generated/classifier' has the shape {logits.shape}, and there are {count} categories: give a logit for "
            "each."
        )
    wrong = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(wrong):
        raise A2IBenchError(f"Row {wrong[0]} of 'generated/classifier' is not finite: check that image's file.")
    top: IntArray = logits.argmax(axis=1)
    return top


def seen(rows: Features) -> tuple[str, ...]:
    """Name the category that the classifier sees in each image, [N]."""
    return tuple(rows.categories[c] for c in top_category(rows, len(rows.categories)))


def _percent(hits: AnyArray) -> FloatArray:
    return np.where(hits, 100.0, 0.0)


def text_match(rows: Features) -> FloatArray:
    """100 where the cosine of the category's and the label's text is above 0.75, else 0; [N]."""
    _, text, place = distinct_labels(rows)
    table = match_table(rows["category/clip-text"], text)
    return _percent(table[top_category(rows, len(table)), place] > THRESHOLD)


def exact_match(rows: Features) -> FloatArray:
    """100 where the category has the label's very name (but for case and outer blanks), else 0; [N]."""
    if not rows.categories:
        raise A2IBenchError("AIC.exact compares names, and Features.categories is empty: give the classifier's names.")
    top = top_category(rows, len(rows.categories))
    names = [name.strip().casefold() for name in rows.categories]
    same = [names[c] == label.strip().casefold() for c, label in zip(top, rows.labels, strict=True)]
    return _percent(np.array(same))


def clipscore_match(rows: Features) -> FloatArray:
    """100 where CLIPScore, ``2.5 max(cos(image, text), 0)``, is above 0.75, else 0; [N]. arXiv 2104.08718."""
    key = "generated/clip-image"
    image, text = _one_space(rows.per_clip(key), rows.per_clip("label/clip-text"), key)
    return _percent(2.5 * (image * text).sum(axis=1) > THRESHOLD)


def zero_shot(rows: Features) -> FloatArray:
    """100 where CLIP finds the own label's text nearer to the image than any other label's, else 0; [N].

    The labels are those that the clips have: SonicDiffusion's choice is among more, :func:`zero_shot_all`. A tie
    (within 1e-12) is a miss. Chance is 100/K for K equally frequent labels.
    """
    _, text, place = distinct_labels(rows)
    return _chosen(rows, text, place)


def zero_shot_all(rows: Features) -> FloatArray:
    """100 where CLIP finds the own label's text nearer to the image than that of any other label of the data set; [N].

    SonicDiffusion's AIC (github.com/BurakCanBiner/SonicDiffusion, ``evaluation.py``): the choice is among *all* labels
    of the data set, whichever of them the clips have. A tie (within 1e-12) is a miss; there the original takes the
    first label. Chance is 100/K for K labels.

    Raises
    ------
    A2IBenchError
        If a clip's label is none of the data set's.

    """
    names, text, inverse = distinct_labels(rows)
    every, own = _one_space(rows["labels/clip-text"], text, "labels/clip-text")
    s = own @ every.T
    place = s.argmax(axis=1)
    strange = np.flatnonzero(s[np.arange(len(s)), place] < 1 - 1e-6)
    if len(strange):
        raise A2IBenchError(
            f"The label {names[strange[0]]!r} is none of the {len(every)} labels that the suite lists for its data "
            "set; leave AIC.zero-shot-all out, or fix the suite's labels."
        )
    return _chosen(rows, rows["labels/clip-text"], place[inverse])


def _chosen(rows: Features, text: AnyArray, place: IntArray) -> FloatArray:
    """100 where of the texts [K, D] the one in a clip's `place`, [N], is the nearest to its image."""
    key = "generated/clip-image"
    image, text = _one_space(rows.per_clip(key), text, key)
    s = image @ text.T
    clips = np.arange(len(s))
    own = s[clips, place].copy()
    s[clips, place] = -np.inf
    return _percent(s.max(axis=1) < own - TIE)


def _declare(
    name: str,
    needs: tuple[str, ...],
    options: dict[str, str],
    per_clip: Callable[[Features], FloatArray],
    summary: str,
) -> Metric:
    return Metric(
        name=name,
        version=1,
        needs=needs,
        summary=summary,
        higher_is_better=True,
        bounds=(0.0, 100.0),
        worst=0.0,
        options=options,
        detail=("category", seen) if "generated/classifier" in needs else None,
        per_clip=per_clip,
    )


METRICS = (
    _declare(
        "AIC",
        ("generated/classifier", "category/clip-text", "label/clip-text"),
        {"match": "text>0.75", "template": "bare"},
        text_match,
        "The image's category means what the label says: text cosine above 0.75.",
    ),
    _declare(
        "AIC.exact",
        ("generated/classifier",),
        {"match": "exact"},
        exact_match,
        "The image's category is the label's name.",
    ),
    _declare(
        "AIC.clipscore",
        ("generated/clip-image", "label/clip-text"),
        {"match": "clipscore>0.75", "template": "bare"},
        clipscore_match,
        "The image's CLIPScore with the label is above 0.75: the other reading of the paper.",
    ),
    _declare(
        "AIC.zero-shot",
        ("generated/clip-image", "label/clip-text"),
        {"match": "zero-shot", "template": "bare", "ties": "miss"},
        zero_shot,
        "CLIP picks the right one among the labels of the clips.",
    ),
    _declare(
        "AIC.zero-shot-all",
        ("generated/clip-image", "label/clip-text", "labels/clip-text"),
        {"match": "zero-shot", "choice": "data-set", "template": "bare", "ties": "miss"},
        zero_shot_all,
        "CLIP picks the right one among all labels of the data set (SonicDiffusion).",
    ),
)
