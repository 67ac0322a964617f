"""Options of commands from the fields of settings: names, types, defaults and help texts are declared there, once."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import typer
from pydantic.fields import FieldInfo

from bayesrm.errors import InvalidInputError
from bayesrm.runs.settings import DeviceSettings, DrawSettings
from bayesrm.utils.settings import SettingError, Settings

Chosen = TypeVar("Chosen", bound=Settings)
COMPUTING = DeviceSettings.heading
METAVARS = {bool: "", int: "N", float: "X", str: "TEXT", Path: "PATH"}

Workers = Annotated[
    int, typer.Option(min=1, help="Processes, of one thread each.", metavar="N", rich_help_panel=COMPUTING)
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="A running Dask scheduler to use instead, such as tcp://10.0.0.1:8786.",
        metavar="ADDRESS",
        rich_help_panel=COMPUTING,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help=DeviceSettings.model_fields["device"].description, rich_help_panel=COMPUTING),
]


def with_options(
    of: type[Settings], leave_out: Collection[str] = (), several: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, which takes ``**settings``, an option for each setting.

    Parameters
    ----------
    of
        Whose fields become options, each under the heading of its class.
    leave_out
        Settings that the command gets in another way.
    several
        Settings whose option may be repeated to compare values; the command gets a list.
    """
    fields = {name: field for name, field in of.model_fields.items() if name not in leave_out}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        derived = [_option(name, field, of.heading_of(name), name in several) for name, field in fields.items()]

        @functools.wraps(function)
        def command(**given: Any) -> None:
            # An option that nobody gave leaves its setting at its default.
            function(**{name: value for name, value in given.items() if name not in fields or value is not None})

        parameters = sorted([*own, *derived], key=_place)
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def from_options(of: type[Chosen], settings: Mapping[str, Any]) -> Chosen:
    """Settings from the options of a command; InvalidInputError about the first option that is wrong."""
    try:
        return of(**settings)
    except SettingError as error:
        name = error.key.split(".")[0]
        raise InvalidInputError(f"{_flag(name)}: {error.reason}" if name else error.reason) from error


def _option(name: str, field: FieldInfo, heading: str, several: bool) -> inspect.Parameter:
    """The option of a field."""
    kind, choices = _kind(field.annotation)
    sentences = [field.description or ""]
    if choices:
        sentences.append(f"One of {', '.join(choices)}.")
    if several:
        sentences.append("Repeat it to compare several.")
    option = typer.Option(
        # What is off by default needs no option that switches it off.
        *([_flag(name)] if field.default is False else []),
        help=" ".join(sentences),
        metavar=METAVARS[kind],
        show_default=field.default is not False,
        rich_help_panel=heading,
    )
    default = None if several else _spelled(field.default, kind)
    annotation = list[kind] | None if several else kind | None  # type: ignore[valid-type]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, option]
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _place(parameter: inspect.Parameter) -> int:
    """Those without a heading come first, and what is about files and machines last."""
    option = next((each for each in get_args(parameter.annotation)[1:] if hasattr(each, "rich_help_panel")), None)
    heading = getattr(option, "rich_help_panel", None) or Settings.heading
    order = [Settings.heading, None, DrawSettings.heading, DeviceSettings.heading]
    return order.index(heading if heading in order else None)


def _spelled(default: Any, kind: type) -> Any:
    """A default as it would be typed."""
    return ",".join(map(str, default)) if isinstance(default, tuple) and kind is str else default


def _kind(annotation: Any) -> tuple[type, tuple[str, ...]]:
    """What the parser makes of an option's text, and the choices there are; what it cannot, the field does itself."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return str, tuple(map(str, get_args(annotation)))
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [_kind(part) for part in get_args(annotation) if part is not type(None)]
        # A flag has two values only.
        return (str, ("yes", "no")) if kinds == [(bool, ())] else kinds[0] if len(kinds) == 1 else (str, ())
    return (annotation, ()) if annotation in (bool, int, float, str, Path) else (str, ())


__all__ = ["Device", "Scheduler", "Workers", "from_options", "with_options"]
