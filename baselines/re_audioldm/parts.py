"""The frozen networks round the UNet: CLAP, T5, AudioMAE, the autoencoder and the vocoder; published and small ones.

Each is read from its folder with the class that its published weights are of; no code from a folder is run.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from a2ibench.baselines.re_audioldm.mel import MelConfig, fit_length, griffin_lim, log_mel
from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited, sha256_file
from a2ibench.weights.read import read_state_dict

_CONFIG_BYTES = 2**22
T5_LENGTH = 50
CLAP_LENGTH = 77


def pretrained(kind: Any, folder: Path, what: str) -> Any:
    """Read a network with the class of its kind, frozen; from the folder alone.

    Raises
    ------
    A2IBenchError
        If the folder is missing or holds something else.

    """
    import diffusers
    import transformers
    from safetensors import SafetensorError

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    try:
        network = kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        said = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise A2IBenchError(f"{folder} holds no whole {what} ({said}); fix the path, or fetch it again.") from None
    if isinstance(network, nn.Module):
        network.eval().requires_grad_(False)
    return network


def inside(folder: Path, name: str) -> Path:
    """Give the folder of a network, which may be that of a whole pipeline, as AudioLDM 2's, with `name` in it."""
    return folder / name if (folder / name / "config.json").is_file() else folder


def read_config(file: Path) -> dict[str, Any]:
    """Read a configuration of JSON; an empty one where there is none."""
    try:
        found = json.loads(read_limited(file, _CONFIG_BYTES))
        if not isinstance(found, dict):
            raise ValueError
    except FileNotFoundError:
        return {}
    except ValueError:
        raise A2IBenchError(f"{file} is no table of JSON; fetch it again.") from None
    return found


def mel_config(own: Mapping[str, Any], where: Path) -> MelConfig:
    """Read the settings of spectrograms; A2IBenchError for one that there is not, or that is no number."""
    known = {field.name for field in fields(MelConfig)}
    if not own.keys() <= known or not all(isinstance(each, int | float) and each > 0 for each in own.values()):
        raise A2IBenchError(f"{where} holds no settings of spectrograms (known: {', '.join(sorted(known))}); fix it.")
    return MelConfig(**own)


def folder_digest(folder: Path) -> str:
    """The hash of a folder's weights and settings: names and contents of its files."""
    files = [file for file in sorted(folder.rglob("*")) if file.suffix in (".safetensors", ".json", ".bin", ".txt")]
    lines = "".join(f"{sha256_file(file)}  {file.relative_to(folder).as_posix()}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


class Clap:
    """CLAP: captions and sounds in one space; what the UNet is told, and what examples are looked up by.

    Texts are filled up to one length, and sounds are cut at the network's own: longer ones would be cropped at random.
    """

    def __init__(self, part: Mapping[str, Any], device: str):
        from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

        folder, self.device = Path(part["file"]), device
        self.network = pretrained(ClapModel, folder, "CLAP").to(device)
        self._tokenizer = pretrained(AutoTokenizer, folder, "tokenizer of CLAP")
        self._hear = pretrained(ClapFeatureExtractor, folder, "feature extractor of CLAP")
        self._length = int(part.get("config", {}).get("length", CLAP_LENGTH))
        self.digest = f"{folder_digest(folder)[:32]}:{self._length}:1"
        self.rate: int = self._hear.sampling_rate
        self.width: int = self.network.config.projection_dim

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode captions: unit vectors ``[n, width]``."""
        told = self._tokenizer(
            list(texts), padding="max_length", max_length=self._length, truncation=True, return_tensors="pt"
        )
        ids, mask = told["input_ids"].to(self.device), told["attention_mask"].to(self.device)
        return _units(self.network.get_text_features(ids, mask))

    def tokens(self, text: str) -> int:
        """Count the tokens of a text, against `most`."""
        return len(self._tokenizer(text)["input_ids"])

    @property
    def most(self) -> int:
        """How many tokens are read."""
        return self._length

    def features(self, waves: Sequence[NDArray[np.float32]]) -> Tensor:
        """Take what the audio tower sees of sounds."""
        cut = [wave[: self._hear.nb_max_samples] for wave in waves]
        found: Tensor = self._hear(cut, sampling_rate=self.rate, return_tensors="pt")["input_features"]
        return found

    @torch.inference_mode()
    def sounds(self, waves: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Encode sounds ``[samples]`` at `rate`: unit vectors ``[n, width]``."""
        return _units(self.network.get_audio_features(self.features(waves).to(self.device)))


def _units(found: Any) -> NDArray[np.float32]:
    rows = found if isinstance(found, Tensor) else found.pooler_output  # transformers 4 gave the tensor itself
    unit: NDArray[np.float32] = nn.functional.normalize(rows.float(), dim=-1).cpu().numpy()
    return unit


class TextTokens:
    """T5's encoder: a caption as tokens of one length, and which of them are words."""

    def __init__(self, part: Mapping[str, Any], device: str):
        from transformers import AutoTokenizer, T5EncoderModel

        folder, self.device = Path(part["file"]), device
        self.network = pretrained(T5EncoderModel, folder, "T5 encoder").to(device)
        self._tokenizer = pretrained(AutoTokenizer, folder, "tokenizer of T5")
        self.length = int(part.get("config", {}).get("length", T5_LENGTH))
        self.width: int = self.network.config.d_model
        self.digest = f"{folder_digest(folder)[:32]}:{self.length}:1"

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Encode captions: tokens ``[n, length, width]`` and mask ``[n, length]``."""
        told = self._tokenizer(
            list(texts), padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        )
        ids, mask = told["input_ids"].to(self.device), told["attention_mask"].to(self.device)
        return self.network(input_ids=ids, attention_mask=mask).last_hidden_state.float(), mask.bool()


AUDIOMAE = {
    "img_size": [1024, 128], "patch_size": 16, "embed_dim": 768, "depth": 12, "num_heads": 12, "pool": 4,
    "hears": "fbank", "mean": -4.2677393, "deviation": 4.5689974,
}  # fmt: skip


def build_audiomae(config: Mapping[str, Any]) -> nn.Module:
    """Build AudioMAE's encoder: a ViT over a spectrogram, its size and depth as `AUDIOMAE` has them."""
    from timm.models.vision_transformer import VisionTransformer

    network: nn.Module = VisionTransformer(
        img_size=tuple(config["img_size"]), patch_size=config["patch_size"], embed_dim=config["embed_dim"],
        depth=config["depth"], num_heads=config["num_heads"], in_chans=1, num_classes=0, global_pool="",
    )  # fmt: skip
    return network


class AudioTokens:
    """AudioMAE: a sound as few tokens, its patches pooled ``pool × pool`` (the mean of mean and maximum)."""

    def __init__(self, part: Mapping[str, Any], device: str):
        file, self.device = Path(part["file"]), device
        own = read_config(file / "audiomae.json") if file.is_dir() else {}
        self.config = {**AUDIOMAE, **own, **part.get("config", {})}
        self.mel = mel_config(self.config["mel"], file) if "mel" in self.config else None
        self.network = build_audiomae(self.config)
        weights = file / "model.safetensors" if file.is_dir() else file
        try:
            self.network.load_state_dict(read_state_dict(weights))
        except RuntimeError:
            raise A2IBenchError(f"{weights} is no AudioMAE of this size; fix the path or its configuration.") from None
        self.network.eval().requires_grad_(False).to(device)
        self.rate = self.mel.rate if self.mel else 16_000
        self.width: int = self.config["embed_dim"]
        settings = json.dumps([self.config, sha256_file(weights)], sort_keys=True, default=str)
        self.digest = f"{hashlib.sha256(settings.encode()).hexdigest()[:32]}:1"
        self._fbank: Any = None

    @property
    def length(self) -> int:
        """How many tokens a sound has."""
        high, wide = self._grid
        return int((high // self.config["pool"]) * (wide // self.config["pool"]))

    @property
    def _grid(self) -> tuple[int, int]:
        high, wide = (size // self.config["patch_size"] for size in self.config["img_size"])
        return high, wide

    def images(self, waves: Sequence[NDArray[np.float32]]) -> Tensor:
        """Take the spectrograms that the network sees: ``[n, 1, frames, bands]``."""
        if self.mel:
            seen = log_mel(np.stack([fit_length(wave, self.mel) for wave in waves]), self.mel)
            scaled: Tensor = (seen - self.config["mean"]) / (2 * self.config["deviation"])
            return scaled[:, None]
        if self._fbank is None:
            from transformers import ASTFeatureExtractor

            self._fbank = ASTFeatureExtractor()  # AudioMAE's mean, deviation, bands and frames are its defaults
        most = 10 * self.rate
        heard = [wave[:most] for wave in waves]
        found: Tensor = self._fbank(heard, sampling_rate=self.rate, return_tensors="pt")["input_values"]
        return found[:, None]

    @torch.inference_mode()
    def __call__(self, waves: Sequence[NDArray[np.float32]]) -> Tensor:
        """Encode sounds ``[samples]`` at `rate`: ``[n, length, width]``."""
        tokens = self.network(self.images(waves).to(self.device))[:, -self._grid[0] * self._grid[1] :]
        grid = tokens.transpose(1, 2).unflatten(2, self._grid)
        pool = int(self.config["pool"])
        pooled = (nn.functional.avg_pool2d(grid, pool) + nn.functional.max_pool2d(grid, pool)) / 2
        found: Tensor = pooled.flatten(2).transpose(1, 2).float()
        return found


class Patches(nn.Module):
    """The small autoencoder: patches of a spectrogram in the first principal components of all patches.

    A latent is ``[components, frames / height, bands / width]``, of about unit deviation.
    """

    mean: Tensor
    basis: Tensor
    deviation: Tensor

    def __init__(self, height: int, width: int, components: int):
        super().__init__()
        self.patch = (height, width)
        self.register_buffer("mean", torch.zeros(height * width))
        self.register_buffer("basis", torch.zeros(components, height * width))
        self.register_buffer("deviation", torch.ones(components))

    def encode(self, mel: Tensor) -> Tensor:
        """Shrink spectrograms ``[n, frames, bands]``."""
        high, wide = self.patch
        count, frames, bands = mel.shape
        cut = mel.reshape(count, frames // high, high, bands // wide, wide)
        patches = cut.permute(0, 1, 3, 2, 4).flatten(3)
        found: Tensor = ((patches - self.mean) @ self.basis.T / self.deviation).permute(0, 3, 1, 2)
        return found

    def decode(self, latents: Tensor) -> Tensor:
        """Give back the spectrograms of latents."""
        patches = (latents.permute(0, 2, 3, 1) * self.deviation) @ self.basis + self.mean
        cut = patches.reshape(*patches.shape[:3], *self.patch).permute(0, 1, 3, 2, 4)
        found: Tensor = cut.flatten(3).flatten(1, 2)
        return found


class Codec:
    """From spectrograms to latents and back: AudioLDM's `AutoencoderKL`, or `Patches`; with the settings of both."""

    def __init__(self, part: Mapping[str, Any], device: str):
        folder, self.device = inside(Path(part["file"]), "vae"), device
        self.mel = mel_config(read_config(folder / "mel.json"), folder / "mel.json")
        self.digest = folder_digest(folder)[:32] + ":1"
        self._patches: Patches | None = None
        if (folder / "patches.safetensors").is_file():
            weights = read_state_dict(folder / "patches.safetensors")
            high, wide = read_config(folder / "patches.json").get("patch", (4, 8))
            self._patches = Patches(high, wide, len(weights["basis"])).to(device)
            self._patches.load_state_dict(weights)
            self.channels, self.shrinks = len(weights["basis"]), (high, wide)
        else:
            from diffusers import AutoencoderKL

            self._vae = pretrained(AutoencoderKL, folder, "autoencoder").to(device)
            shrinks = 2 ** (len(self._vae.config.block_out_channels) - 1)
            self.channels, self.shrinks = self._vae.config.latent_channels, (shrinks, shrinks)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a latent."""
        return self.channels, self.mel.frames // self.shrinks[0], self.mel.bands // self.shrinks[1]

    @torch.inference_mode()
    def encode(self, waves: NDArray[np.float32]) -> Tensor:
        """Shrink sounds ``[n, samples]``: latents of about unit deviation; of the autoencoder the mean."""
        mel = log_mel(waves, self.mel).to(self.device)
        if self._patches is not None:
            return self._patches.encode(mel)
        found: Tensor = self._vae.encode(mel[:, None]).latent_dist.mode() * self._vae.config.scaling_factor
        return found

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Give the spectrograms of latents: ``[n, frames, bands]``."""
        if self._patches is not None:
            return self._patches.decode(latents)
        found: Tensor = self._vae.decode(latents / self._vae.config.scaling_factor).sample[:, 0]
        return found


class Vocoder:
    """From spectrograms to sounds: `SpeechT5HifiGan`; Griffin and Lim's way where the folder holds their settings."""

    def __init__(self, part: Mapping[str, Any], device: str):
        from transformers import SpeechT5HifiGan

        folder = inside(Path(part["file"]), "vocoder")
        self._settings = read_config(folder / "griffin_lim.json")
        self._network = None if self._settings else pretrained(SpeechT5HifiGan, folder, "vocoder").to(device)

    @torch.inference_mode()
    def __call__(self, mel: Tensor, config: MelConfig) -> NDArray[np.float32]:
        """Sound spectrograms ``[n, frames, bands]``: ``[n, samples]``, not louder than 1."""
        if self._network is None:
            found = griffin_lim(mel.cpu(), config, int(self._settings.get("iterations", 32)))
        else:
            found = self._network(mel).float().cpu().numpy()
        found = found[:, : config.samples]
        loudest = np.abs(found).max(axis=1, keepdims=True)
        quiet: NDArray[np.float32] = (found / np.maximum(1.0, loudest)).astype(np.float32)
        return quiet
