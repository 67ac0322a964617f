"""Settings that are declared once: name, type, default and help text, and how a run records them.

A :class:`Settings` class is a frozen pydantic model. The arguments of a function, the options of a command and the
tables of a TOML file all fill its fields, and what they accept is read from the fields. So a setting is added by
adding a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from bayesrm.errors import InvalidInputError
from bayesrm.utils.checked import MOST

Recorded = Literal["always", "changed", "never"]
Made = TypeVar("Made", bound="Settings")


class SettingError(InvalidInputError):
    """A setting that cannot be used.

    Parameters
    ----------
    key
        Its dotted name; empty where the message is not about a single setting.
    reason
        What is wrong with it.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason


@dataclass(frozen=True)
class Declared:
    """What a field says beside its type, its default and its description.

    Parameters
    ----------
    recorded
        Whether the configuration of a run has it: "always"; where its value is not the default ("changed"), which
        keeps folders of runs valid that are older than the setting; or "never", for settings that a run may change
        when it continues, and for those that are recorded in another form.
    compared
        Whether runs that differ in it alone are different methods, and get a dimension in combined results.
    """

    recorded: Recorded = "changed"
    compared: bool = True


def setting(default: Any, description: str, recorded: Recorded = "changed", compared: bool = True) -> Any:
    """A field of a :class:`Settings` class; see :class:`Declared` for the last two arguments.

    Parameters
    ----------
    default
        Its value where nobody gives one.
    description
        The help text of its option: a sentence, with the unit and what None or 0 means.
    recorded, compared
        See :class:`Declared`.
    """
    extra: dict[str, Any] = asdict(Declared(recorded, compared))
    return Field(default=default, description=description, json_schema_extra=extra)


def declared(field: FieldInfo) -> Declared:
    """What :func:`setting` was told of a field."""
    extra = field.json_schema_extra
    return Declared(**extra) if isinstance(extra, dict) else Declared()  # type: ignore[arg-type]


class Settings(BaseModel):
    """Settings that belong together, checked where they are made.

    Attributes
    ----------
    heading
        What the options of these settings stand under in the help of a command.

    Raises
    ------
    SettingError
        About the first setting that cannot be used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    heading: ClassVar[str] = "Options"

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**{name: _plain(value) for name, value in settings.items()})
        except ValidationError as error:
            raise SettingError(*first_complaint(error)) from error

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any, info: ValidationInfo) -> Any:
        """Where a number is expected, true is not 1, which pydantic takes it for."""
        true = any(isinstance(one, bool) for one in (value if isinstance(value, (list, tuple)) else [value]))
        if true and "bool" not in str(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError(f"expected a value other than true and false, got {value}")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _countable(cls, value: Any, info: ValidationInfo) -> Any:
        """A seed may be any number; whatever is counted may not."""
        for one in value if isinstance(value, tuple) else [value]:
            if isinstance(one, int) and one > MOST and info.field_name != "seed":
                raise ValueError(f"expected a number of at most {MOST:,}, got {str(one)[:40]}")
        return value

    @classmethod
    def picked(cls: type[Made], given: Mapping[str, Any]) -> Made:
        """From those of many values that are settings of this class, such as the arguments of a function."""
        return cls(**{name: given[name] for name in cls.model_fields if name in given})

    @classmethod
    def heading_of(cls, name: str) -> str:
        """The heading of the class that declares a field first."""
        return next(
            base.heading
            for base in reversed(cls.__mro__)
            if issubclass(base, Settings) and name in base.model_fields
        )

    def part(self, of: type[Settings]) -> dict[str, Any]:
        """The settings that another class declares: name → value."""
        return {name: getattr(self, name) for name in of.model_fields}

    def record(self, of: type[Settings]) -> dict[str, Any]:
        """Of the settings that a class declares those that the configuration of a run has, see :class:`Declared`."""
        kept = {}
        for name, field in of.model_fields.items():
            value, how = getattr(self, name), declared(field).recorded
            if how == "always" or (how == "changed" and value != field.default):
                kept[name] = value
        return kept


def first_complaint(error: ValidationError) -> tuple[str, str]:
    """The first thing that is wrong: the dotted key, empty where it is not about a single one, and a sentence."""
    first: Any = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return key, "there is no such setting"
    if first["type"] == "missing":
        return key, "it is missing"
    if first["type"] != "value_error":
        number = "a number " if first["type"].startswith(("greater", "less")) else ""
        message = message.replace("Input should be ", f"expected {number}") + f", got {first['input']!r}"
    return key, message


def _plain(value: Any) -> Any:
    """A number of numpy or torch as Python's."""
    return value.item() if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0 else value
