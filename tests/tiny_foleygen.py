"""A FoleyGen of a few thousand numbers, for tests."""

import torch

from a2ibench.baselines.foleygen.lm import FoleyLm, LmConfig


def tiny(attention="all-frame", **more):
    torch.manual_seed(0)
    sizes = {"layers": 2, "width": 32, "heads": 4, "books": 2, "codes": 11, "features": 6, "seconds": 4.0,
             "code_rate": 5.0, "frame_rate": 1.0} | more  # fmt: skip
    network = FoleyLm(LmConfig(attention=attention, **sizes)).eval()
    with torch.no_grad():
        for parameter in network.parameters():  # larger than at the start, so that what reaches a step is seen
            parameter.mul_(4).add_(0.05 * torch.randn_like(parameter))
    return network
