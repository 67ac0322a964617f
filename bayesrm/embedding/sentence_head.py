"""What a sentence encoder does after pooling: the modules that its ``modules.json`` lists behind its pooling.

Dense layers and Normalize are applied as sentence-transformers does, to the last hidden layer under the pooling that
the files declare: they were trained for that vector alone. Other hidden layers, and other poolings, stay as they are
pooled. Dropout does nothing outside of training. Anything else is refused in a sentence, as the vector would be another
one than the files describe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor, nn

from bayesrm.errors import InvalidInputError

if TYPE_CHECKING:
    from bayesrm.embedding.loading import Loaded

MODULES = "modules.json"
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid", "Softplus", "LeakyReLU", "ELU", "Mish")
"""Of a Dense module: those of torch.nn that need no settings."""

Step = dict[str, Any]


class Normalize(nn.Module):
    """Vectors of norm one."""

    def forward(self, x: Float[Tensor, "text embedding"]) -> Float[Tensor, "text embedding"]:
        """x / ‖x‖."""
        return nn.functional.normalize(x, dim=1)


class SentenceHead(nn.Module):
    """The modules after pooling, in their order; none by default.

    Parameters
    ----------
    steps
        Each with ``kind`` "Dense" (and ``inputs``, ``outputs``, ``bias``, ``activation``) or "Normalize": the head can
        be made again from these and its weights.
    """

    def __init__(self, steps: list[Step] | None = None) -> None:
        super().__init__()
        self.steps = steps or []
        self.layers = nn.ModuleList(map(_layer, self.steps))

    def __len__(self) -> int:
        return len(self.steps)

    def __str__(self) -> str:
        return ", ".join(
            f"Dense ({step['inputs']} → {step['outputs']})" if step["kind"] == "Dense" else step["kind"]
            for step in self.steps
        )

    def width(self, inputs: int) -> int:
        """How many numbers come out."""
        return next((step["outputs"] for step in reversed(self.steps) if step["kind"] == "Dense"), inputs)

    def forward(self, x: Float[Tensor, "text embedding"]) -> Float[Tensor, "text output"]:
        """Apply all."""
        for layer in self.layers:
            x = layer(x)
        return x


def declared_pooling(loaded: Loaded) -> list[str] | None:
    """How the files say that tokens are pooled, by their names for it; None where they do not say."""
    modules = loaded.file(MODULES) or []
    folder = next((module["path"] for module in modules if _kind(module) == "Pooling"), None)
    asked = loaded.file(f"{folder}/config.json") if folder else None
    if asked is None:
        return None
    if isinstance(asked.get("pooling_mode"), str):
        return [asked["pooling_mode"]]
    return [key for key, value in asked.items() if key.startswith("pooling_mode_") and value is True]


def read_head(loaded: Loaded) -> SentenceHead:
    """The modules of a sentence encoder's files after its pooling.

    Raises
    ------
    InvalidInputError
        Where there is one that cannot be applied.
    """
    modules = loaded.file(MODULES) or []
    kinds = [_kind(module) for module in modules]
    steps: list[Step] = []
    weights: list[dict[str, Tensor]] = []
    for at, (module, kind) in enumerate(zip(modules, kinds, strict=True)):
        if kind in ("Transformer", "Pooling", "Dropout"):
            continue
        if "Pooling" in kinds and at < kinds.index("Pooling"):
            raise _refused(loaded, kind, "it stands before the pooling")
        if kind == "Normalize":
            steps.append({"kind": kind})
            weights.append({})
        elif kind == "Dense":
            step, state = _read_dense(loaded, str(module.get("path", "")))
            steps.append(step)
            weights.append(state)
        else:
            raise _refused(loaded, kind, "bayesrm knows Transformer, Pooling, Dense, Normalize and Dropout")
    head = SentenceHead(steps)
    for step, layer, state in zip(steps, head.layers, weights, strict=True):
        if step["kind"] == "Dense":
            layer[0].load_state_dict(state)  # type: ignore[index]
    return head.eval().requires_grad_(False)


def _layer(step: Step) -> nn.Module:
    if step["kind"] == "Normalize":
        return Normalize()
    linear = nn.Linear(step["inputs"], step["outputs"], bias=step["bias"])
    return nn.Sequential(linear, getattr(nn, step["activation"])())


def _read_dense(loaded: Loaded, folder: str) -> tuple[Step, dict[str, Tensor]]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = loaded.file(f"{folder}/config.json") or {}
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    if activation not in ACTIVATIONS:
        raise _refused(loaded, "Dense", f"its activation {activation} is none of {', '.join(ACTIVATIONS)}")
    if any(
        config.get(f"module_{end}_name", "sentence_embedding") != "sentence_embedding"
        for end in ("input", "output")
    ):
        raise _refused(loaded, "Dense", "it is not on the vector of the sentence")
    path = loaded.path(f"{folder}/model.safetensors")
    if path is None:
        raise _refused(loaded, "Dense", f"{folder} has no model.safetensors, and other files can run code")
    try:
        state = {name.removeprefix("linear."): value.float() for name, value in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise _refused(loaded, "Dense", f"{path} cannot be read: {error}") from error
    shape = tuple(state["weight"].shape) if "weight" in state else None
    asked = config.get("out_features"), config.get("in_features")
    bias = "bias" in state
    if shape != asked or set(state) - {"weight", "bias"} or bool(config.get("bias", True)) != bias:
        raise _refused(loaded, "Dense", f"its weights have the shape {shape}, and its configuration says {asked}")
    step = {"kind": "Dense", "inputs": asked[1], "outputs": asked[0], "bias": bias, "activation": activation}
    return step, state


def _kind(module: dict[str, Any]) -> str:
    return str(module.get("type", "")).rpartition(".")[2]


def _refused(loaded: Loaded, kind: str, reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"{MODULES} of {loaded.model.name_or_path} asks for a module {kind or 'without a type'} that cannot be applied "
        f"({reason}): its embeddings would be others than its files describe; choose hidden layers before the last, or "
        "another model"
    )
