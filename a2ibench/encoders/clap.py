"""CLAP: sounds and captions in one space, by transformers' ``ClapModel``.

Wu et al., "Large-scale Contrastive Language-Audio Pretraining" (arXiv 2211.06687). Published:
``laion/clap-htsat-unfused`` (Apache-2.0), 153,492,890 numbers; any other folder of that class works, and a small one is
the mini suite's. The weights are a **folder**, as ``save_pretrained`` writes it: ``config.json``,
``model.safetensors`` (or ``pytorch_model.bin``), ``preprocessor_config.json`` and a tokenizer.

A sound longer than the network hears (10.000 s) is **cut there**: transformers' own extractor crops it at random, so
that 10.24 s would give other rows each time. What is shorter is repeated as often as it fits, then silence follows. The
mel pictures are computed here, in float64, from the folder's settings; they are those of the extractor, but for
rounding. Models with fusion (which hear four crops of a long sound) are refused. Rows are of length one.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from a2ibench.encoders._frozen import Device, freeze, load_strict
from a2ibench.encoders._mel import WholeEncoder, by_length, waveform
from a2ibench.encoders.base import EncoderKind, Float32, check_keys
from a2ibench.errors import A2IBenchError
from a2ibench.weights.read import read_state_dict

LENGTH = 77
"""Tokens of a caption, as laion's own package cuts."""
_FILES = ("model.safetensors", "pytorch_model.bin")
_COUNTED = ("position_ids", "token_type_ids", "relative_position_index")
"""Buffers that follow from the configuration: files of before hold them, or do not."""
_HEARING = {
    "feature_size": 64,
    "sampling_rate": 48_000,
    "hop_length": 480,
    "max_length_s": 10,
    "fft_window_size": 1024,
    "frequency_min": 0,
    "frequency_max": 14_000,
}


def log_mel(waves: Tensor, hearing: Mapping[str, Any]) -> Tensor:
    """Compute what CLAP takes of waveforms, ``[n, samples]``: decibels, float32 ``[n, 1, frames, bands]``.

    Each is cut at ``max_length_s``; what is shorter is repeated as often as it fits, and followed by silence.
    """
    longest = round(hearing["max_length_s"] * hearing["sampling_rate"])
    waves = waves[:, :longest].to(torch.float64)
    waves = waves.repeat(1, max(1, longest // waves.shape[1]))
    waves = nn.functional.pad(waves, (0, longest - waves.shape[1]))
    size = hearing["fft_window_size"]
    window = torch.hann_window(size, dtype=torch.float64)
    spectrum = torch.stft(waves, size, hearing["hop_length"], size, window, pad_mode="reflect", return_complex=True)
    power = torch.view_as_real(spectrum).square().sum(dim=3)
    filters = _slaney(*(hearing[key] for key in _HEARING if key not in ("hop_length", "max_length_s")))
    energies = filters.T @ power
    return (10 * energies.clamp(min=1e-10).log10()).transpose(1, 2)[:, None].float()


@lru_cache(maxsize=8)
def _slaney(bands: int, rate: int, size: int, low: float, high: float) -> Tensor:
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        num_frequency_bins=size // 2 + 1,
        num_mel_filters=bands,
        min_frequency=low,
        max_frequency=high,
        sampling_rate=rate,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(np.asarray(filters, np.float64))


def _table(file: Path) -> dict[str, Any]:
    """Read a JSON object of a CLAP folder."""
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise A2IBenchError(
            f"The CLAP folder {file.parent} has no readable {file.name} ({error}); give a folder as save_pretrained "
            "writes it."
        ) from None
    if not isinstance(table, dict):
        raise A2IBenchError(f"{file} holds a {type(table).__name__}, not an object; give CLAP's own file.")
    return table


class Clap:
    """A frozen CLAP that the two encoders share.

    Attributes
    ----------
    network
        transformers' ``ClapModel``.
    hearing
        The settings of the mel pictures.
    length
        The most tokens of a caption.
    dim
        The width of a row.

    """

    def __init__(self, folder: Path, config: Mapping[str, Any], sha256: str, device: Device):
        from transformers import AutoTokenizer, ClapConfig, ClapModel

        check_keys(config, ("length",), "a CLAP")
        if not folder.is_dir():
            raise A2IBenchError(f"The CLAP weights {folder} are no folder; give one as save_pretrained writes it.")
        hears = _table(folder / "preprocessor_config.json")
        if hears.get("truncation", "fusion") == "fusion" or hears.get("padding", "repeatpad") != "repeatpad":
            found = (
                f"truncation={hears.get('truncation', 'fusion')!r} and padding={hears.get('padding', 'repeatpad')!r}"
            )
            raise A2IBenchError(
                f"The CLAP in {folder} hears by {found}; only 'rand_trunc' with 'repeatpad' (no fusion) is supported."
            )
        self.hearing = {key: hears.get(key, default) for key, default in _HEARING.items()}
        sizes = _table(folder / "config.json")
        with torch.random.fork_rng(devices=[]):  # loading weights must not move anyone's seed
            self.network: Any = ClapModel(ClapConfig.from_dict(sizes))
        if self.network.config.audio_config.enable_fusion:
            raise A2IBenchError(f"The CLAP in {folder} is a fusion model; give an unfused one.")
        load_strict(self.network, _state(folder, self.network), f"CLAP in {folder}")
        freeze(self.network, device)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.length = int(config.get("length", min(LENGTH, self.tokenizer.model_max_length)))
        self.dim: int = self.network.config.projection_dim
        self.sha256, self.device = sha256, device
        inside = {key: value for key, value in sizes.items() if key not in ("transformers_version", "_name_or_path")}
        self.configuration = {"hearing": self.hearing, "length": self.length, "model": inside}

    def hear(self, pictures: Tensor) -> Tensor:
        """Map mel pictures to rows of length one."""
        rows: Tensor = self.network.get_audio_features(input_features=pictures).pooler_output
        return rows

    def read(self, tokens: Tensor) -> Tensor:
        """Map token ids and their mask, ``[n, 2, length]``, to rows of length one."""
        rows: Tensor = self.network.get_text_features(input_ids=tokens[:, 0], attention_mask=tokens[:, 1]).pooler_output
        return rows

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Give token ids and their mask, ``[n, 2, length]``; longer texts are cut."""
        found = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        )
        return torch.stack([found["input_ids"], found["attention_mask"]], dim=1)


def _state(folder: Path, network: nn.Module) -> dict[str, Tensor]:
    """Read the weights of a folder, with the buffers that follow from the configuration as the network has them."""
    file = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if file is None:
        raise A2IBenchError(f"The CLAP folder {folder} holds none of {', '.join(_FILES)}; download it again.")
    state = {key: value for key, value in read_state_dict(file).items() if not key.endswith(_COUNTED)}
    return state | {key: value for key, value in network.state_dict().items() if key.endswith(_COUNTED)}


class ClapAudioEncoder(WholeEncoder):
    """Waveforms of any lengths to rows of length one."""

    name = "clap-audio"
    modality = "audio"
    preprocessing = "1-cut-repeatpad"

    def __init__(self, clap: Clap):
        self._clap, self.weights, self.configuration = clap, clap.sha256, clap.configuration
        self.dim, self.device, self.rate = clap.dim, torch.device(clap.device), int(clap.hearing["sampling_rate"])

    def encode(self, items: Sequence[Any]) -> Float32:
        """Encode float32 mono waveforms at ``rate``: ``[n, dim]``.

        Raises
        ------
        A2IBenchError
            For a sound that is not ``[samples]``, or is not finite.

        """
        if not items:
            return self.none()
        waves = [waveform(item, index, "CLAP", self.rate) for index, item in enumerate(items)]
        pictures: list[Tensor] = [torch.empty(0)] * len(waves)
        for indices, batch in by_length(waves):
            for index, picture in zip(indices, log_mel(batch, self._clap.hearing), strict=True):
                pictures[index] = picture
        return self._rows(self._clap.hear, torch.stack(pictures))


class ClapTextEncoder(WholeEncoder):
    """Captions to rows of length one."""

    name = "clap-text"
    modality = "text"
    preprocessing = "1"

    def __init__(self, clap: Clap):
        self._clap, self.weights, self.configuration = clap, clap.sha256, clap.configuration
        self.dim, self.device = clap.dim, torch.device(clap.device)

    def encode(self, items: Sequence[str]) -> Float32:
        """Encode texts; what is longer than ``length`` tokens is cut: ``[n, dim]``."""
        if not items:
            return self.none()
        return self._rows(self._clap.read, self._clap.tokens(items))


# Both encoders of a suite are one folder; loading it twice would double time and memory.
@lru_cache(maxsize=1)
def _shared(config: str, folder: Path, sha256: str, device: str) -> Clap:
    return Clap(folder, json.loads(config), sha256, device)


def load_clap(config: Mapping[str, Any], weights: Path, sha256: str, device: Device = "cpu") -> Clap:
    """Load a CLAP; the same folder, hash, configuration and device give the same object.

    Parameters
    ----------
    config
        ``length``: the most tokens of a caption; by default 77, or fewer where the tokenizer says so.
    weights, sha256
        The folder, and the hash that names it.
    device
        Where it runs.

    """
    return _shared(json.dumps(dict(config), sort_keys=True), weights, sha256, str(device))


def load_audio(config: Mapping[str, Any], weights: Path, sha256: str, device: Device = "cpu") -> ClapAudioEncoder:
    """Load the audio encoder; see `load_clap`."""
    return ClapAudioEncoder(load_clap(config, weights, sha256, device))


def load_text(config: Mapping[str, Any], weights: Path, sha256: str, device: Device = "cpu") -> ClapTextEncoder:
    """Load the text encoder; see `load_clap`."""
    return ClapTextEncoder(load_clap(config, weights, sha256, device))


ENCODERS = (
    EncoderKind("clap-audio", "audio", load_audio, entry="clap"),
    EncoderKind("clap-text", "text", load_text, entry="clap"),
)
