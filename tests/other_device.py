"""A device beside the CPU on a machine that has none: tensors that claim to be on "cuda" and refuse to meet others.

Values stay in main memory, so results are those of the CPU to the bit. What PyTorch refuses on a GPU is refused here:
operations on tensors of two devices, except that a tensor without dimensions may be anywhere and that an index may be
on the CPU; and NumPy's look into a tensor of the GPU.

    with OtherDevice():
        posterior = brm.fit(model, pool, preferences, device="cuda")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self
from unittest import mock

import torch
from torch import Tensor, nn
from torch._functorch import apis
from torch.overrides import TorchFunctionMode

DEVICE = torch.device("cuda", 0)
TO_NUMPY = {"numpy", "__array__"}
MOVES = {"to", "cpu", "cuda", "copy_", "set_", "__set__"}
INDEXED = {"__getitem__", "__setitem__", "index_put_", "index_put"}
"""These take indices from the CPU."""
STRICT = {
    "cat",
    "stack",
    "matmul",
    "__matmul__",
    "mm",
    "bmm",
    "mv",
    "dot",
    "einsum",
    "index_select",
    "gather",
    "addmm",
}
"""Here even a tensor without dimensions has to be on the same device."""


class OtherDevice(TorchFunctionMode):
    """While it is entered, "cuda" is a device."""

    def __enter__(self) -> Self:
        """Make the classes and transformations that PyTorch writes in C remember the device."""
        self._patches = [
            mock.patch.object(nn.Parameter, "__new__", _keeping(nn.Parameter.__new__)),
            mock.patch.object(apis, "vmap_impl", _mapped(apis.vmap_impl)),
        ]
        for patch in self._patches:
            patch.start()
        return super().__enter__()

    def __exit__(self, *raised: object) -> None:
        """Leave everything as it was."""
        super().__exit__(*raised)
        for patch in self._patches:
            patch.stop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call what was asked for, with the rules of two devices."""
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        tensors: list[Tensor] = []
        for value in args:
            _collect(value, tensors)
        for value in kwargs.values():
            _collect(value, tensors)
        there = False
        for tensor in tensors:  # some 100,000 times a fit: a loop takes half of the time of any() and map()
            if tensor.__dict__.get("claims_cuda"):
                there = True
                break
        asked = kwargs.get("device")
        if _MAPPING:
            return func(*args, **kwargs | ({"device": torch.device("cpu")} if asked is not None else {}))
        if not there and asked is None and name not in MOVES:
            return func(*args, **kwargs)
        if name == "__get__":
            owner = func.__self__.__name__
            if owner in ("device", "is_cuda", "is_cpu"):
                return {"device": DEVICE, "is_cuda": True, "is_cpu": False}[owner]
            return _placed(func(*args), there)
        if name in TO_NUMPY:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        if name == "_has_compatible_shallow_copy_type":
            return len(set(map(_is_there, tensors))) == 1
        if name in MOVES:
            return self._move(func, name, args, dict(kwargs))
        if there:
            _require_one_device(name, tensors, args)
        if asked is not None:
            there = torch.device(asked).type == "cuda"
            kwargs = kwargs | {"device": torch.device("cpu")}
        if there and (generator := kwargs.get("generator")) is not None and generator.device.type == "cpu":
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        return _placed(func(*args, **kwargs), there)

    def _move(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        own = args[0]
        if name in ("copy_", "set_", "__set__"):
            there = _is_there(args[1]) if name == "__set__" and isinstance(args[1], Tensor) else _is_there(own)
            found = func(*args, **kwargs)
            _placed(own, there)
            return found
        there = _is_there(own)
        if name in ("cpu", "cuda"):
            return _moved(own, name == "cuda")
        given = [*args[1:], kwargs.get("device"), kwargs.get("other")]
        for value in given:
            if isinstance(value, Tensor):
                there = _is_there(value)
            elif isinstance(value, (str, torch.device)):
                there = torch.device(value).type == "cuda"
        kinds = [value for value in (*args[1:], kwargs.get("dtype")) if isinstance(value, torch.dtype)]
        kinds += [value.dtype for value in given if isinstance(value, Tensor)]
        found = func(own, kinds[0]) if kinds else own
        return _moved(_placed(found, _is_there(own)), there)


def here() -> Any:
    """A context without the other device, for what is to be computed on the CPU in the usual time."""
    return torch._C.DisableTorchFunction()


def _moved(tensor: Tensor, there: bool) -> Tensor:
    """The same tensor where it is on that device already, else a copy."""
    if _is_there(tensor) == there:
        return tensor
    return _placed(tensor.clone(), there)


def _placed(value: Any, there: bool) -> Any:
    if isinstance(value, Tensor):
        value.claims_cuda = there  # type: ignore[attr-defined]
        return value
    tensors: list[Tensor] = []
    _collect(value, tensors)
    for tensor in tensors:
        tensor.claims_cuda = there  # type: ignore[attr-defined]
    return value


def _is_there(tensor: Tensor) -> bool:
    return tensor.__dict__.get("claims_cuda", False)


def _collect(value: Any, found: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        found.append(value)
    elif isinstance(value, (tuple, list)):
        for item in value:
            _collect(item, found)
    elif isinstance(value, dict):
        for item in value.values():
            _collect(item, found)


def _require_one_device(name: str, tensors: list[Tensor], args: Any) -> None:
    """Of tensors one of which is there."""
    if name in INDEXED:
        own, *others = tensors
        if not _is_there(own) and any(map(_is_there, others)):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        values = [value for value in args[2:] if isinstance(value, Tensor) and value.dim()]
        if name.startswith("index_put") and any(_is_there(value) != _is_there(own) for value in values):
            raise RuntimeError("expected self and source to be on the same device")
        return
    strict = name in STRICT
    if any(not _is_there(tensor) and (strict or tensor.dim()) for tensor in tensors):
        raise RuntimeError(f"Expected all tensors to be on the same device, cuda:0 and cpu: {name}")


def _keeping(new: Callable[..., Any]) -> Callable[..., Any]:
    def create(cls: type, data: Any = None, requires_grad: bool = True) -> Any:
        return _placed(new(cls, data, requires_grad), _is_there(data))

    return create


_MAPPING: list[bool] = []
"""Not empty inside of a mapped function, whose tensors are wrapped: nothing is known of them there."""


def _mapped(vmap: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        tensors: list[Tensor] = []
        _collect([args, kwargs], tensors)
        there = any(map(_is_there, tensors))
        _MAPPING.append(there)
        try:
            found = vmap(*args, **kwargs)
        finally:
            _MAPPING.pop()
        return _placed(found, there)

    return call
