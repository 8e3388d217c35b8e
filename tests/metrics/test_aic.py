"""AIC: four clips to check by eye, each reading of the paper, and the sentences for bad input."""

from dataclasses import replace

import numpy as np
import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Features, get
from a2ibench.metrics.aic import distinct_labels, match_table


def plane(*cosines: float) -> np.ndarray:
    """Unit vectors whose cosine with the first axis is as given."""
    return np.array([[c, np.sqrt(1 - c * c)] for c in cosines])


LABELS = ("frog croaking", "rain", "frog croaking", "frog croaking")
ROWS = Features(
    labels=LABELS,
    arrays={
        "category/clip-text": plane(1.0, 0.76, 0.74, 0.0),  # frog, toad, pond, rain
        "label/clip-text": plane(1.0, 0.0, 1.0, 1.0),
        "generated/classifier": np.eye(4)[[0, 3, 1, 2]],
        "generated/clip-image": plane(0.31, 0.31, 0.29, 0.9),
    },
    categories=("frog", "toad", "pond", " Rain"),
)


def values(name: str, rows: Features = ROWS) -> list[float]:
    per_clip = get(name).per_clip
    assert per_clip
    return per_clip(rows).tolist()


def test_text_match_by_eye() -> None:
    assert values("AIC") == [100, 100, 100, 0]  # 1.00, 1.00, 0.76 and 0.74


def test_threshold_is_strict() -> None:
    # 3² + 2² + 1 + 1 + 1 = 4²: the cosine with the first axis is 3/4 to the last bit.
    rows = Features(
        labels=("a",),
        arrays={
            "category/clip-text": np.array([[3, 2, 1, 1, 1]]),
            "label/clip-text": np.eye(5)[:1],
            "generated/classifier": np.ones((1, 1)),
        },
    )
    assert match_table(rows["category/clip-text"], rows["label/clip-text"]) == [[0.75]]
    assert values("AIC", rows) == [0]
    for near, expected in ((0.75 + 1e-9, 100.0), (0.75 - 1e-9, 0.0)):
        moved = replace(rows, arrays={**rows.arrays, "category/clip-text": plane(near)})
        moved = replace(moved, arrays={**moved.arrays, "label/clip-text": plane(1.0)})
        assert values("AIC", moved) == [expected]


def test_other_readings_by_eye() -> None:
    assert values("AIC.exact") == [0, 100, 0, 0]
    # 2.5 cos > 0.75 is cos > 0.30; the image of clip 1 has cosine 0.95 with "rain".
    assert values("AIC.clipscore") == [100, 100, 0, 100]
    # Nearest label: only clip 3 is nearer to "frog croaking" (first axis) than to "rain" (second).
    assert values("AIC.zero-shot") == [0, 100, 0, 100]


def test_zero_shot_tie_is_a_miss() -> None:
    rows = replace(ROWS, arrays={**ROWS.arrays, "generated/clip-image": plane(*[np.sqrt(0.5)] * 4)})
    assert values("AIC.zero-shot", rows) == [0, 0, 0, 0]


def test_match_table_has_one_cell_per_pair() -> None:
    names, text, place = distinct_labels(ROWS)
    assert names == ("frog croaking", "rain")
    assert place.tolist() == [0, 1, 0, 0]
    table = match_table(ROWS["category/clip-text"], text)
    np.testing.assert_allclose(table[:, 0], [1, 0.76, 0.74, 0], atol=1e-15)
    assert table.shape == (4, 2)


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("AIC", {"generated/classifier": np.eye(5)[:4]}, "has the shape .4, 5., and there are 4 categories"),
        (
            "AIC",
            {"generated/classifier": np.diag([0, np.nan, 0, 0])},
            "Row 1 of",
        ),
        ("AIC", {"generated/classifier": np.zeros(4)}, "has the shape"),
        ("AIC", {"category/clip-text": np.ones((4, 3))}, "has 3 columns and 'label/clip-text' 2"),
        ("AIC", {"category/clip-text": np.zeros((4, 2))}, "Row 0 of 'category/clip-text' is all zeros"),
        ("AIC", {"label/clip-text": plane(1, 0, 0.5, 1)}, "Row 2 of 'label/clip-text' .* 'frog croaking'"),
        ("AIC.zero-shot", {"generated/clip-image": np.ones((4, 3))}, "'generated/clip-image' has 3 columns"),
        ("AIC.clipscore", {"generated/clip-image": np.ones((4, 3))}, "'generated/clip-image' has 3 columns"),
    ],
)
def test_bad_input_gets_its_sentence(name: str, change: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(A2IBenchError, match=sentence):
        values(name, replace(ROWS, arrays={**ROWS.arrays, **change}))


def test_exact_needs_names() -> None:
    with pytest.raises(A2IBenchError, match=r"Features\.categories is empty"):
        values("AIC.exact", replace(ROWS, categories=()))
