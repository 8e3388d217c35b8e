"""One training loop for every network: seeded by step, resumable, logged."""

import io
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from a2ibench.files import write_bytes, write_text

Loss = Callable[[np.random.Generator], Tensor]


def fit(
    name: str,
    module: nn.Module,
    loss: Loss,
    *,
    steps: int,
    lr: float,
    work: Path,
    weight_decay: float = 0.01,
    ema: float = 0.0,
    report: Mapping[str, Callable[[], float]] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Train ``module`` with AdamW, 100 warm-up steps and a cosine to zero; returns it in eval mode.

    ``loss`` draws its batch from the generator that it gets: that depends on name, step and seed alone, so
    a training that was killed goes on from its last checkpoint with the batches it would have seen. ``ema``
    above zero keeps a running mean of the weights, which then is the result. ``report`` gives figures of the
    validation split, logged ten times. The seconds that it took, over all of its runs, stand in ``NAME.seconds``.
    """
    final = work / f"{name}.pt"
    state = work / f"{name}.state.pt"
    if final.exists():
        module.load_state_dict(torch.load(final, weights_only=True))
        return module.eval()
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=lr, weight_decay=weight_decay)
    mean = {k: v.detach().clone() for k, v in module.state_dict().items()} if ema else {}
    start, spent = 0, 0.0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        module.load_state_dict(saved["module"])
        optimizer.load_state_dict(saved["optimizer"])
        mean, start, spent = saved["mean"], saved["step"], saved["seconds"]
    log, began, last_save, running = work / f"{name}.log", time.time() - spent, time.time(), 0.0
    for step in range(start, steps):
        module.train()
        rng = np.random.default_rng([int.from_bytes(name.encode()[:6], "big"), step, *([seed] if seed else [])])
        torch.manual_seed(step + 1_000_003 * seed)
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        value = loss(rng)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        if ema:
            decay = min(ema, (1 + step) / (10 + step))
            for key, tensor in module.state_dict().items():
                if tensor.is_floating_point():
                    mean[key].lerp_(tensor, 1 - decay)
                else:
                    mean[key].copy_(tensor)
        running = value.item() if step == start else 0.98 * running + 0.02 * value.item()
        if (step + 1) % max(1, steps // 50) == 0:
            line = f"{name} {step + 1}/{steps} loss {running:.4f} {time.time() - began:.0f} s"
            if report and (step + 1) % max(1, steps // 10) == 0:
                line += _figures(module, mean, report)
            print(line, flush=True)  # noqa: T201
            with log.open("a") as file:
                file.write(line + "\n")
        if time.time() - last_save > 60:
            last_save = time.time()
            _save(state, {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "mean": mean,
                          "step": step + 1, "seconds": time.time() - began})  # fmt: skip
    if ema:
        module.load_state_dict(mean)
    write_text(work / f"{name}.seconds", f"{time.time() - began:.0f}\n")
    _save(final, module.state_dict())
    state.unlink(missing_ok=True)
    return module.eval()


def _figures(module: nn.Module, mean: dict[str, Tensor], report: Mapping[str, Callable[[], float]]) -> str:
    """Measure with the weights that would be the result, then put the training weights back."""
    kept = {k: v.clone() for k, v in module.state_dict().items()}
    if mean:
        module.load_state_dict(mean)
    module.eval()
    with torch.inference_mode():
        text = "".join(f" {key} {figure():.4f}" for key, figure in report.items())
    module.load_state_dict(kept)
    return text


def _save(path: Path, payload: object) -> None:
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    write_bytes(path, buffer.getvalue())
