"""What the tests share: a suite of tiny random networks, a folder of clips, and the command line in this process."""

import contextlib
import csv
import io
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from noise import draw_noise
from PIL import Image, ImageDraw
from tiny import SUITE, write_sums

LABELS = {"bell": "bell ringing", "dog": "dog barking", "rain": "rain falling"}
CONTEXT_LENGTH = 32


@pytest.fixture(scope="session", autouse=True)
def _apart(tmp_path_factory):
    """Keep the tests away from the user's cache, from the network, and from terminals of any width."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A2IBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("COLUMNS", "200")
        patch.setenv("NO_COLOR", "1")
        patch.delenv("FORCE_COLOR", raising=False)
        patch.delenv("A2IBENCH_WEIGHTS", raising=False)
        yield


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    """A cache folder of the test's own, empty."""
    folder = tmp_path / "own-cache"
    monkeypatch.setenv("A2IBENCH_CACHE", str(folder))
    return folder


# -------------------------------------------------------------------------------------------------- clips


def tone(frequency, seconds=1.0, rate=16_000, seed=0):
    """A tone that fades, with a little noise."""
    t = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return (0.4 * np.sin(2 * np.pi * frequency * t) * np.exp(-2 * t) + 0.02 * noise).astype(np.float32)


def write_clips(folder, per_label=3, most=8):
    """Write a data folder of three labels: a sound of one second and a small picture for each clip."""
    import soundfile

    (folder / "audio").mkdir(parents=True)
    (folder / "image").mkdir()
    rows = []
    for number in range(per_label):
        for index, (name, label) in enumerate(LABELS.items()):
            clip_id = f"{name}-{number}"
            soundfile.write(folder / f"audio/{clip_id}.wav", tone(220 * 2**index + 30 * number, seed=number), 16_000)
            image = Image.new("RGB", (40, 32 + 4 * number), (60 * index, 200 - 50 * number, 120))
            box = (4 + 5 * number, 6, 16 + 5 * number, 22)
            ImageDraw.Draw(image).ellipse(box, fill=(250, 220 - 80 * index, 40 * number))
            image.save(folder / f"image/{clip_id}.png")
            rows.append((clip_id, f"audio/{clip_id}.wav", f"image/{clip_id}.png", label))
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("clip_id", "audio", "image", "label"), *rows[:most]])
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    """Eight clips of three labels; not to be written to (see `own_clips`)."""
    return write_clips(tmp_path_factory.mktemp("data") / "sounds")


@pytest.fixture
def own_clips(clip_folder, tmp_path):
    """A copy of the clips that a test may spoil."""
    return Path(shutil.copytree(clip_folder, tmp_path / "own-sounds"))


# -------------------------------------------------------------------------------------------------- suite


def _save_pipeline(folder):
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    text = CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=CONTEXT_LENGTH,
        bos_token_id=len(tokens) - 2,
        eos_token_id=len(tokens) - 1,
        pad_token_id=len(tokens) - 1,
    )
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            norm_num_groups=4,
            layers_per_block=1,
            sample_size=32,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=CONTEXT_LENGTH),
        unet=UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=2,
            norm_num_groups=4,
        ),
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            steps_offset=1,
            set_alpha_to_one=False,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    import torch

    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)


def _save_unclip(folder, diffusion, width):
    """Write a tiny unCLIP around the text encoder and the autoencoder of a tiny Stable Diffusion."""
    import diffusers
    import torch
    import transformers
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer

    base = diffusers.StableDiffusionPipeline.from_pretrained(diffusion, dtype=torch.float32, local_files_only=True)
    normalizer = StableUnCLIPImageNormalizer(embedding_dim=width)
    normalizer.mean.data.normal_()
    normalizer.std.data.uniform_(2, 4)
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    pipeline = diffusers.StableUnCLIPImg2ImgPipeline(
        feature_extractor=transformers.CLIPImageProcessor(),
        image_encoder=transformers.CLIPVisionModelWithProjection(
            transformers.CLIPVisionConfig(**vision, image_size=8, patch_size=4, projection_dim=width)
        ),
        image_normalizer=normalizer,
        image_noising_scheduler=diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        tokenizer=base.tokenizer,
        text_encoder=base.text_encoder,
        unet=diffusers.UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=2,
            norm_num_groups=4,
            class_embed_type="projection",
            projection_class_embeddings_input_dim=2 * width,
        ),
        scheduler=diffusers.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        vae=base.vae,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    # What draws from sounds must do without the image encoder, which is most of the published folder.
    shutil.rmtree(folder / "image_encoder")
    shutil.rmtree(folder / "feature_extractor")


@pytest.fixture(scope="session")
def save_unclip():
    """The function that writes a tiny unCLIP: ``save_unclip(folder, diffusion folder, width)``."""
    return _save_unclip


@pytest.fixture(scope="session")
def tiny_suite(tmp_path_factory, clip_folder):
    """The TOML file of a suite of random networks, of the same classes as the published ones; not to be changed."""
    import tomllib

    import diffusers
    import torch
    import transformers
    from safetensors.torch import save_file
    from torchvision.models.resnet import BasicBlock, ResNet

    from a2ibench.baselines.audiotoken.embedder import Embedder
    from a2ibench.baselines.vqgan import build_vqgan
    from a2ibench.encoders.beats import Beats, BeatsConfig
    from a2ibench.encoders.clip import build_clip
    from a2ibench.encoders.imagebind import ImageBindAudio, ImageBindConfig
    from a2ibench.encoders.inception import MiniInception
    from a2ibench.encoders.wav2clip import Wav2Clip

    torch.set_num_threads(1)  # a second thread only gets in the way of networks this small
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("suite") / "tiny"
    weights = folder / "weights"
    weights.mkdir(parents=True)
    shutil.copytree(clip_folder, folder / "test")
    table = tomllib.loads(SUITE)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _save_pipeline(weights / "stable-diffusion")
        _save_unclip(weights / "unclip", weights / "stable-diffusion", 16)
        for lent in ("vae", "text_encoder", "tokenizer"):
            shutil.rmtree(weights / "unclip" / lent)
        networks = {
            "vqgan": build_vqgan(table["parts"]["vqgan"]["config"]),
            "imagebind": ImageBindAudio(ImageBindConfig.from_dict(table["parts"]["imagebind"]["config"])),
            "clip": build_clip(table["encoders"]["clip"]["model"]),
            "wav2clip": Wav2Clip(8, (1, 1, 1, 1), 16),
            "classifier": ResNet(BasicBlock, [1, 1, 1, 1], num_classes=3),
            "inception": MiniInception(3),
            "beats": Beats(BeatsConfig.from_dict(table["parts"]["beats"]["config"])),
            "audiotoken": Embedder(64, 16),
            "audiotoken-cl": Embedder(64, 16),
        }
        for name, network in networks.items():
            kept = {}
            for key, tensor in network.state_dict().items():
                if key.endswith("bn3.weight"):
                    tensor = torch.ones_like(tensor)  # zero in a new CLIP: its blocks would do nothing
                if name != "beats" or "relative_attention_bias" not in key or ".layers.0." in key:
                    kept[key] = (tensor.half() if tensor.is_floating_point() else tensor).contiguous().clone()
            save_file(kept, weights / f"{name}.safetensors")
    write_sums(weights)
    (folder / "suite.toml").write_text(SUITE)
    return folder / "suite.toml"


@pytest.fixture
def own_suite(tiny_suite, tmp_path):
    """A copy of the tiny suite that a test may spoil."""
    return Path(shutil.copytree(tiny_suite.parent, tmp_path / "own-suite")) / "suite.toml"


# ---------------------------------------------------------------------------------------------------- boards


@pytest.fixture(scope="session")
def noise(tmp_path_factory, clip_folder):
    """A submission: a picture of noise for each clip; not to be written to."""
    ids = [path.stem for path in sorted((clip_folder / "audio").iterdir()) if path.stem != "rain-2"]
    return draw_noise(tmp_path_factory.mktemp("outputs") / "noise", ids)


@pytest.fixture(scope="session")
def tiny_boards(tmp_path_factory, tiny_suite, noise):
    """A folder of boards, with one of the tiny suite and one row, ``tiny/noise``; not to be written to."""
    from a2ibench.board.card import MethodCard
    from a2ibench.board.outputs import read_outputs
    from a2ibench.board.submit import submit
    from a2ibench.scoring.scorer import Scorer
    from a2ibench.show.board import write_board
    from a2ibench.suites import load_suite

    suite = load_suite(str(tiny_suite))
    clips, boards = suite.clips(), tmp_path_factory.mktemp("boards") / "leaderboards"
    with read_outputs(noise, clips) as given:
        submit(given, MethodCard(name="noise", authors="A. Nobody"), Scorer(suite, clips), boards / "tiny")
    write_board(boards / "tiny", clips=clips)
    return boards


@pytest.fixture
def own_boards(tiny_boards, tmp_path):
    """A copy of the boards that a test may spoil."""
    return Path(shutil.copytree(tiny_boards, tmp_path / "leaderboards"))


# --------------------------------------------------------------------------------------------- command line


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def sentence(self):
        """The error's sentence, after checking that nothing else was said: nothing on stdout, no traceback."""
        assert self.code == 2, (self.code, self.out, self.err)
        assert self.out == ""
        assert "Traceback" not in self.err
        lines = self.err.strip().splitlines()
        assert lines[-1].startswith("a2ibench: "), self.err
        assert sum(line.startswith("a2ibench: ") for line in lines) == 1
        return lines[-1].removeprefix("a2ibench: ")


@pytest.fixture
def run_cli(tmp_path, monkeypatch):
    """Run the command line in this process, in a folder of its own: ``run_cli("eval", "--method", …)``."""
    from a2ibench.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        out, err, code = io.StringIO(), io.StringIO(), 0
        with monkeypatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(sys, "argv", ["a2ibench", *map(str, arguments)])
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Outcome(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def start_cli(tmp_path):
    """Start the command line as a process of its own, to be killed; ``before`` is Python that runs first."""
    started = []

    def start(*arguments, before=""):
        code = f"{before}\nfrom a2ibench.cli import main\nmain()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


# -------------------------------------------------------------------------------------------------- workers


@pytest.fixture(scope="session")
def hum_package(tmp_path_factory, clip_folder):
    """The folder of a package that plugs in a method, an encoder, a metric and a suite: see `hum`."""
    from hum import install

    return install(tmp_path_factory.mktemp("hum") / "site", clip_folder)


@pytest.fixture
def hum(hum_package, monkeypatch):
    """Plug that package in, here and in every process that is started; gives the path of its suite."""
    from hum import caches

    known = caches()
    monkeypatch.syspath_prepend(str(hum_package))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    for cached in known:
        cached.cache_clear()
    yield "hum"
    sys.modules.pop("a2i_hum", None)
    for cached in known:
        cached.cache_clear()
