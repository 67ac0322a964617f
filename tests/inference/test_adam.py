"""Adam against PyTorch's own class."""

from __future__ import annotations

import torch

from bayesrm.inference.fitting.adam import Adam


def test_steps_are_those_of_torch_to_the_bit():
    """Of three groups, a step size that falls, and a parameter that has no gradient at first."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((4,), (3, 2), (), (5,))
    start = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    target = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]

    def descend(ours: bool) -> list[torch.Tensor]:
        x = [value.clone().requires_grad_(True) for value in start]
        optimizer = Adam(x[:2], 0.1) if ours else torch.optim.Adam(x[:2], lr=0.1)
        if ours:
            optimizer.add([x[2]])
            optimizer.add([x[3]], 0.5)
        else:
            optimizer.add_param_group({"params": [x[2]]})
            optimizer.add_param_group({"params": [x[3]], "lr": 0.5})
        for taken in range(12):
            if taken == 6 and ours:
                optimizer.set_rate(0.03)
            elif taken == 6:
                optimizer.param_groups[0]["lr"] = 0.03
            optimizer.zero_grad()
            used = range(1 if taken < 3 else 0, len(x))
            sum(((x[k] - target[k]) ** 4).sum() for k in used).backward()
            optimizer.step()
        return [value.detach() for value in x]

    for one, other, before in zip(descend(True), descend(False), start, strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, before)
