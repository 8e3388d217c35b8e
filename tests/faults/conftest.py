"""The long form of the faults runs only where it is asked for: ``pytest tests/faults -m faults``."""

import pytest


def pytest_collection_modifyitems(config, items):
    if "faults" in (config.option.markexpr or ""):
        return
    for item in items:
        if item.get_closest_marker("faults"):
            item.add_marker(pytest.mark.skip(reason="the long form: pytest tests/faults -m faults"))


@pytest.fixture(scope="session")
def files(tiny_suite, clip_folder, noise):
    """What the commands' words name; the libraries are imported, since each command runs in a fork of this process."""
    import accelerate  # noqa: F401
    import diffusers
    import transformers  # noqa: F401
    from torch.utils.tensorboard import SummaryWriter  # noqa: F401

    import a2ibench.baselines.audiotoken.train
    import a2ibench.board.submit
    import a2ibench.cli.root
    import a2ibench.runs.train  # noqa: F401

    for name in ("AutoencoderKL", "UNet2DConditionModel", "StableDiffusionPipeline"):
        assert getattr(diffusers, name)  # imported when it is asked for
    return {"suite": tiny_suite, "clips": clip_folder, "noise": noise}
