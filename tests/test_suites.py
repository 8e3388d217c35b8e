"""Suite files: a strict model, so that a mistyped key is an error that names the nearest right one."""

import pytest

from a2ibench.baselines import methods
from a2ibench.encoders import get as get_encoder
from a2ibench.errors import A2IBenchError
from a2ibench.scoring.scorer import chosen_metrics, encoders_of
from a2ibench.suites import default_suite, load_suite, suites
from a2ibench.tasks import tasks
from a2ibench.weights.entries import published


@pytest.mark.parametrize("name", suites())
def test_the_built_in_files_load(name):
    suite = load_suite(name)
    assert suite.built_in
    assert suite.id == f"{name}@{suite.file.version}"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "tiny"', 'name = "tiny"\nclips_digset = "x"', ("clips_digset", "did you mean 'clips_digest'")),
        ('name = "tiny"', 'name = "tiny"\nown_dta = "x"', ("own_dta", "did you mean 'own_data'")),
        ("[parts.embedder]\n", "[parts.embedder]\nfiel = 'x'\n", ("'fiel' in [parts.embedder]", "did you mean 'file'")),
        ("[methods.sd-text.options]\n", "[methods.sd-text.option]\n", ("'option'", "did you mean 'options'")),
        ("version = 1", "version = 'one'", ("a wrong 'version'",)),
        ("version = 1", "", ("lacks 'version'",)),
        ('name = "tiny"', 'name = "tiny|x"', ("a wrong 'name'",)),
        ('file = "weights/audiotoken.safetensors"', 'file = "../x"', ("leaves the suite's folder",)),
    ],
)
def test_a_wrong_key_is_refused(own_suite, old, new, words):
    text = own_suite.read_text()
    assert old in text
    own_suite.write_text(text.replace(old, new, 1))
    with pytest.raises(A2IBenchError) as caught:
        load_suite(str(own_suite))
    for word in (str(own_suite), *words):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "encoder", "word"),
    [
        ("categories = [", "blcks = [1]\ncategories = [", "classifier", "did you mean 'blocks'"),
        ("width = 8\n", "width = 8\ndmi = 3\n", "wav2clip", "did you mean 'dim'"),
        ("quick_gelu", "quick_gleu", "clip-image", "quick_gleu"),
        ("head_width", "haed_width", "clip-image", "haed_width"),
    ],
)
def test_a_wrong_setting_of_a_network_is_refused(own_suite, old, new, encoder, word):
    own_suite.write_text(own_suite.read_text().replace(old, new, 1))
    with pytest.raises(A2IBenchError, match=word):
        load_suite(str(own_suite)).encoder(encoder)


def test_layout_comments_and_prose_do_not_change_the_id(own_suite):
    before = load_suite(str(own_suite)).id
    text = own_suite.read_text()
    own_suite.write_text("# Hello.\n" + text.replace("summary = ", "summary  = ").replace("Random networks", "Others"))
    assert load_suite(str(own_suite)).id == before
    own_suite.write_text(text.replace("size = 32", "size = 24"))
    assert load_suite(str(own_suite)).id != before


def test_every_task_of_ours_that_has_a_suite_names_one_of_that_task():
    for task in tasks().values():
        if task.suite:
            assert load_suite(default_suite(task.name)).task is task


@pytest.mark.parametrize("name", ["audiocaps", "vggsound-foley"])
def test_a_suite_of_published_networks_names_all_that_its_task_needs(name):
    """Each part is published, or the suite says why it is not and what to do; so is each network of the metrics."""
    suite = load_suite(name)
    for method in (each for each in methods().values() if each.task == suite.task.name):
        never = suite.unpublished(method.name, method.parts) or ""
        assert "brings no" not in never
        assert not never or "give" in never
    for encoder in encoders_of(chosen_metrics(None, suite.task)):
        kind = get_encoder(encoder)
        assert not kind.has_weights or (kind.entry or encoder) in suite.file.encoders
    used = {entry.checkpoint for entry in (*suite.file.parts.values(), *suite.file.encoders.values())} - {None}
    assert used <= set(published())
    assert not suite.brings_clips


def test_suites_are_called_as_their_files():
    for name in suites():
        assert load_suite(name).name == name
