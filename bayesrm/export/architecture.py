"""Encoders as JSON and tensors: what they are made of by name, so that nothing has to be unpickled or guessed.

A body of the layers in :data:`LAYERS`, put together by ``nn.Sequential``, is described whole. Another one of an encoder
that has a name is made again by that encoder, from its settings. Any other module is named, and its weights are kept;
whoever loads them gives the module.
"""

from __future__ import annotations

import copy
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.inference.mc_dropout import Mask
from bayesrm.models.encoders import ENCODERS, Encoder, WithLinearFeatures
from bayesrm.models.spectrum import BlockLeading, Leading
from bayesrm.utils.columns import as_blocks

Description = dict[str, Any]

LAYERS: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "Linear": (nn.Linear, ("in_features", "out_features", "bias")),
    "LayerNorm": (nn.LayerNorm, ("normalized_shape", "eps", "elementwise_affine", "bias")),
    "BatchNorm1d": (nn.BatchNorm1d, ("num_features", "eps", "momentum", "affine", "track_running_stats")),
    "GELU": (nn.GELU, ("approximate",)),
    "ReLU": (nn.ReLU, ()),
    "LeakyReLU": (nn.LeakyReLU, ("negative_slope",)),
    "ELU": (nn.ELU, ("alpha",)),
    "SiLU": (nn.SiLU, ()),
    "Mish": (nn.Mish, ()),
    "Tanh": (nn.Tanh, ()),
    "Sigmoid": (nn.Sigmoid, ()),
    "Softplus": (nn.Softplus, ("beta", "threshold")),
    "Identity": (nn.Identity, ()),
    "Flatten": (nn.Flatten, ("start_dim", "end_dim")),
    "Dropout": (nn.Dropout, ("p",)),
    "Leading": (Leading, ("dim",)),
    "BlockLeading": (BlockLeading, ("columns",)),
    "Mask": (Mask, ("shape",)),
}
"""Layers that can be described, with the arguments that make them."""
CUSTOM = "custom"


def describe_encoder(encoder: Encoder) -> Description:
    """What an encoder is made of; its weights and statistics are its ``state_dict``."""
    described: Description = {
        "dim": encoder.dim,
        "features": encoder.features,
        "inputs": encoder.inputs,
        "body": describe_layers(encoder.body),
    }
    if len(encoder.input_blocks) > 1:
        described["input_blocks"] = {name: [at.start, at.stop] for name, at in encoder.input_blocks.items()}
    if encoder.named:
        described["name"], described["settings"] = encoder.name, encoder.settings
    if encoder.spectrum is not None:
        described["spectrum"] = {"power": encoder.spectrum.power, "kept": encoder.spectrum.kept}
    return described


def needs_own_module(described: Description) -> bool:
    """Whether an encoder is built around the user's module: one with a name is bayesrm's, whatever its body is."""
    return described["body"]["layer"] == CUSTOM and "name" not in described


def build_encoder(described: Description, own: nn.Module | None = None) -> Encoder:
    """An encoder as described, its weights not yet loaded.

    Parameters
    ----------
    described
        What :func:`describe_encoder` returned.
    own
        The user's module, where the body is one.
    """
    input_blocks = as_blocks(described.get("input_blocks"), described["dim"])
    if needs_own_module(described):
        encoder = Encoder(described["dim"], _own_body(described, own), described["inputs"], input_blocks)
    elif described["body"]["layer"] != CUSTOM:
        encoder = Encoder(described["dim"], build_layers(described["body"]), described["inputs"], input_blocks)
    else:
        part: Any = ENCODERS[described["name"]]
        with rng.fenced(0):
            given = {"input_blocks": input_blocks} if "input_blocks" in signature(part).parameters else {}
            encoder = part(described["dim"], inputs=described["inputs"], **given, **described["settings"])
    if encoder.spectrum is not None:
        encoder.spectrum.power, encoder.spectrum.kept = (described["spectrum"][key] for key in ("power", "kept"))
    return encoder.eval().requires_grad_(False)


def load_encoder(encoder: Encoder, features: int, state: dict[str, Tensor], without_body: bool = False) -> None:
    """Put weights and statistics in place.

    Parameters
    ----------
    encoder
        From :func:`build_encoder`.
    features
        How many it returns, once it knows what to leave out.
    state
        Its ``state_dict``.
    without_body
        Whether the body is to be called with other weights, and has none of its own here.
    """
    for path, module in encoder.named_modules():
        for name, buffer in list(module._buffers.items()):
            saved = state.get(f"{path}.{name}" if path else name)
            # A buffer that is None is in no state_dict; what was learnt from a pool may have grown with it.
            if saved is not None and (buffer is None or (encoder.named and buffer.shape != saved.shape)):
                setattr(module, name, torch.empty_like(saved))
    missing, unexpected = encoder.load_state_dict(state, strict=False, assign=True)
    missing = [name for name in missing if not (without_body and name.startswith("body."))]
    if missing or unexpected:
        raise InvalidInputError(
            f"the weights do not fit the encoder: missing {missing or 'none'}, unexpected {unexpected or 'none'}"
        )
    encoder.requires_grad_(False)
    encoder.features = features


def describe_layers(module: nn.Module) -> Description:
    """A module as JSON-able values; one that is not made of known layers is only named."""
    kind = type(module)
    if kind is nn.Sequential:
        children = {name: describe_layers(child) for name, child in module.named_children()}
        if any(child["layer"] == CUSTOM for child in children.values()):
            return {"layer": CUSTOM, "class": "Sequential"}
        return {"layer": "Sequential", "children": children}
    if isinstance(module, WithLinearFeatures):
        body = describe_layers(module.body)
        linear = describe_layers(module.linear)
        return {"layer": "WithLinearFeatures", "name": module.name, "body": body, "linear": linear}
    if kind.__name__ in LAYERS and LAYERS[kind.__name__][0] is kind:
        settings = {name: _setting(module, name) for name in LAYERS[kind.__name__][1]}
        return {"layer": kind.__name__} | settings
    return {"layer": CUSTOM, "class": kind.__name__}


def build_layers(described: Description) -> nn.Module:
    """The module that :func:`describe_layers` described."""
    kind = described["layer"]
    if kind == "Sequential":
        built = nn.Sequential()
        for name, child in described["children"].items():
            built.add_module(name, build_layers(child))
        return built
    if kind == "WithLinearFeatures":
        linear = build_layers(described["linear"]) if "linear" in described else Leading(described["dim"])
        assert isinstance(linear, Leading | BlockLeading)
        return WithLinearFeatures(described["name"], build_layers(described["body"]), linear)
    if kind not in LAYERS:
        raise InvalidInputError(
            f"the encoder has a layer {kind!r} that this version of bayesrm does not know: install the version that "
            "wrote it, or a newer one"
        )
    layer, names = LAYERS[kind]
    settings = {name: described[name] for name in names}
    if kind == "Mask":
        settings["shape"] = tuple(settings["shape"])
    with rng.fenced(0):
        return layer(**settings)


def _setting(module: nn.Module, name: str) -> Any:
    if name == "bias":
        return module.bias is not None
    if isinstance(module, Mask):
        return list(module.mask.shape)
    value = getattr(module, name)
    return list(value) if isinstance(value, tuple) else value


def _own_body(described: Description, own: nn.Module | None) -> nn.Module:
    if own is None:
        raise InvalidInputError(
            f"the encoder is a module of the user's own ({described['body']['class']}), of which only the weights are "
            "in the file: give one of the same architecture, load_reward_model(path, encoder=module)"
        )
    return copy.deepcopy(own)
