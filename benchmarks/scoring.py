"""Time scoring, from files to features, beside the tools that it stands in for.

One set of images, 512 × 512, goes through CLIP ViT-B/32, FID's Inception and ResNet-50. Ours reads each file once. The
peers run one after another, each with its own loop: pytorch-fid's; the same once more, since KID comes from another
tool that runs Inception again; open_clip's model and preprocessing in a script; torchvision's classifier in a script.
All are in one process, on the same files, with the same weights (random ones: only times count), as many threads, and
the batch sizes of their defaults. What comes out is compared: the largest difference, as a part of the largest number.

CPU seconds are the ones to compare on a busy machine; set OMP_NUM_THREADS=1 for that.
"""

import argparse
import json
import os
import tempfile
import time
import types
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from a2ibench.encoders import classifier, clip, inception
from a2ibench.encoders.base import Encoder
from a2ibench.scoring.features import encode_files
from a2ibench.suites import load_suite

Peer = Callable[[Sequence[Path]], np.ndarray]


def draw(folder: Path, count: int, size: int) -> list[Path]:
    """Draw smooth colours under noise, as PNG: neither easy nor hard to compress."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        smooth = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(
            (size, size), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(smooth, np.int16) + rng.integers(-8, 9, (size, size, 3))
        files.append(folder / f"{number:04d}.png")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(files[-1])
    return files


def published() -> tuple[list[Encoder], dict[str, Peer]]:
    """Give encoders and peers of the published sizes."""
    torch.manual_seed(0)
    seeing, classifying = clip.build_clip().eval(), classifier.build_classifier({}).eval()
    network = inception.FidInception().eval()
    encoders: list[Encoder] = [
        clip.load_image({}, seeing.state_dict(), "random"),
        inception.load({}, network.net.state_dict(), "random"),
        classifier.load({}, classifying.state_dict(), "random"),
    ]
    import pytorch_fid.inception

    with patch.object(pytorch_fid.inception, "fid_inception_v3", lambda: network.net):
        theirs = pytorch_fid.inception.InceptionV3([pytorch_fid.inception.InceptionV3.BLOCK_INDEX_BY_DIM[2048]])
    return encoders, _peers(seeing, theirs, classifying, encoders, 2048)


def small() -> tuple[list[Encoder], dict[str, Peer]]:
    """Give the mini suite's encoders, and peers with the same networks: to try the script."""
    suite = load_suite("mini")
    encoders = [suite.encoder(name) for name in ("clip-image", "inception", "classifier")]
    clip._shared.cache_clear()
    with ExitStack() as patches:
        for module in (clip, inception, classifier):
            patches.enter_context(patch.object(module, "speed_up", lambda network, device: "eager"))
        plain: list[Any] = [suite.encoder(name) for name in ("clip-image", "inception", "classifier")]
    clip._shared.cache_clear()
    seeing, network, classifying = (each._network for each in plain)

    class Blocks(nn.Module):
        """The small network as pytorch-fid's loop takes one."""

        def forward(self, images: Tensor) -> list[Tensor]:
            square = nn.functional.interpolate(images, (64, 64), mode="bilinear", align_corners=False)
            return [network(square)[:, :, None, None]]

    return encoders, _peers(types.SimpleNamespace(encode_image=seeing), Blocks(), classifying, encoders, 64)


def _peers(seeing: Any, features: nn.Module, classifying: Any, encoders: Sequence[Any], dims: int) -> dict[str, Peer]:
    """Give each tool's own loop."""
    from pytorch_fid.fid_score import get_activations

    def activations(files: Sequence[Path]) -> np.ndarray:
        found: np.ndarray = get_activations([str(file) for file in files], features, 50, dims, "cpu", num_workers=0)
        return found

    def script(network: Callable[[Tensor], Tensor], prepare: Callable[[Image.Image], Tensor]) -> Peer:
        def rows(files: Sequence[Path]) -> np.ndarray:
            found = []
            with torch.no_grad():
                for start in range(0, len(files), 32):
                    images = [prepare(Image.open(file).convert("RGB")) for file in files[start : start + 32]]
                    found.append(network(torch.stack(images)))
            return torch.cat(found).numpy()

        return rows

    return {
        "inception, pytorch-fid": activations,
        "inception again, for KID": activations,
        "clip-image, an open_clip script": script(seeing.encode_image, encoders[0]._prepare),
        "classifier, a torchvision script": script(classifying, encoders[2]._prepare),
    }


def timed(job: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Run `job`; give its result, and its wall and CPU seconds."""
    began, cpu_began = time.perf_counter(), time.process_time()
    result = job()
    return result, {"cpu": time.process_time() - cpu_began, "wall": time.perf_counter() - began}


def compare(images: int, size: int, networks: Callable[[], tuple[list[Encoder], dict[str, Peer]]]) -> dict[str, Any]:
    """Time both ways on the same images."""
    encoders, peers = networks()
    with tempfile.TemporaryDirectory() as place, patch.dict(os.environ, {"A2IBENCH_CACHE": f"{place}/cache"}):
        files = draw(Path(place), images, size)
        warm = draw(Path(tempfile.mkdtemp(dir=place)), 2, size + 1)
        encode_files(encoders, warm, 32)
        for peer in peers.values():
            peer(warm)
        ours, our_seconds = timed(lambda: encode_files(encoders, files, 32))
        seconds, differences = {}, {}
        for title, peer in peers.items():
            rows, seconds[title] = timed(lambda peer=peer: peer(files))  # type: ignore[misc]
            name = title.split(",")[0].split(" ")[0]
            differences[name] = float(np.abs(np.stack(ours[name]) - rows).max() / np.abs(rows).max())
    sums = {clock: sum(each[clock] for each in seconds.values()) for clock in ("cpu", "wall")}
    return {
        "images": images,
        "size": size,
        "threads": torch.get_num_threads(),
        "kernels": {encoder.name: encoder.computing for encoder in encoders},
        "seconds": {"a2ibench": our_seconds, **seconds, "peers together": sums},
        "cpu_ms_an_image": {"a2ibench": 1000 * our_seconds["cpu"] / images, "peers": 1000 * sums["cpu"] / images},
        "cpu_ratio": our_seconds["cpu"] / sums["cpu"],
        "wall_ratio": our_seconds["wall"] / sums["wall"],
        "largest_difference": differences,
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "torch": torch.__version__},
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--size", type=int, default=512, help="pixels of a side")
    parser.add_argument("--small", action="store_true", help="the mini suite's networks: seconds instead of minutes")
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    arguments = parser.parse_args()
    text = json.dumps(compare(arguments.images, arguments.size, small if arguments.small else published), indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
