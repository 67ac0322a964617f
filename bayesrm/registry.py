"""Named parts that live one a file: a class placed in a folder is found by its ``name``.

So a new design, selector, inference or likelihood is one new file, and nothing else is edited. A part may also live
outside of bayesrm: in a package or file of the user's, a plugin, see :mod:`bayesrm.utils.plugins`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

from bayesrm.errors import InvalidInputError, UnknownNameError
from bayesrm.utils import plugins
from bayesrm.utils.wording import told

T = TypeVar("T")


class Registry(Mapping[str, type[T]], Generic[T]):
    """The concrete subclasses of ``base`` found in the modules of a package and in plugins, by their ``name``.

    Parameters
    ----------
    package
        Dotted name of the package whose modules are searched, when first asked.
    base
        The class that the parts implement.
    kind
        What a part is called in messages.
    also
        What else may be asked for, as messages say it.
    always_given
        Arguments that every part gets when it is made by name; all others have defaults.
    """

    opened: ClassVar[list[Registry[Any]]] = []
    """Every registry whose package was imported."""

    def __init__(
        self, package: str, base: type[T], kind: str, also: str = "", always_given: tuple[str, ...] = ()
    ) -> None:
        self._package, self._base, self._kind, self._also = package, base, kind, also
        self.always_given = always_given
        self._found: dict[str, type[T]] = {}
        self._version: tuple[object, ...] | None = None
        Registry.opened.append(self)

    @property
    def base(self) -> type[T]:
        """What the parts are subclasses of."""
        return self._base

    @property
    def kind(self) -> str:
        """What a part is called in messages."""
        return self._kind

    def _parts(self) -> dict[str, type[T]]:
        plugins.load()
        if self._version != plugins.version():
            found: dict[str, type[T]] = {}
            package = importlib.import_module(self._package)
            for module_info in pkgutil.iter_modules(package.__path__):
                module = importlib.import_module(f"{self._package}.{module_info.name}")
                self._add(found, (part for part in vars(module).values() if _defined_in(part, module)))
            try:
                self._add(found, plugins.classes())
            except TypeError as error:
                raise InvalidInputError(str(error)) from error
            self._found, self._version = dict(sorted(found.items())), plugins.version()
        return self._found

    def _add(self, found: dict[str, type[T]], members: Iterable[Any]) -> None:
        for member in members:
            if inspect.isclass(member) and issubclass(member, self._base) and "name" in vars(member):
                self._require_new(member, found)
                found[vars(member)["name"]] = member

    def _require_new(self, part: type[T], found: Mapping[str, type[T]]) -> None:
        """A part is complete, and its name is its own: what a copied file most easily gets wrong."""
        name = vars(part)["name"]
        missing = sorted({*getattr(part, "__abstractmethods__", ()), *_undefined(part, self._base)})
        if missing:
            raise TypeError(f"the {self._kind} {name!r} ({part.__module__}) does not define {', '.join(missing)}")
        if name in found and found[name] is not part:
            raise TypeError(f"{part.__module__} and {found[name].__module__} both have a {self._kind} {name!r}")

    def __getitem__(self, name: str) -> type[T]:
        parts = self._parts()
        if name not in parts:
            also = f"; also {self._also}" if self._also else ""
            raise UnknownNameError(f"unknown {self._kind} {name!r}: there are {', '.join(parts)}{also}")
        return parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts())

    def __len__(self) -> int:
        return len(self._parts())

    def exported(self, name: str) -> type[T]:
        """One of bayesrm's own parts by the name of its class, for ``from PACKAGE import CLASS``."""
        if name[:1].isupper():
            for part in self.values():
                if part.__name__ == name and part.__module__.startswith(self._package):
                    return part
        raise AttributeError(f"module {self._package!r} has no attribute {name!r}")

    def lines(self) -> dict[str, str]:
        """What there is: name → the first line of the docstring."""
        return {name: (inspect.getdoc(part) or "").splitlines()[0] for name, part in self.items()}


def register(part: T) -> T:
    """Add a part: a design, selector, likelihood, inference, encoder, annotator, hand-off, check, plot.

    It is then asked for by its ``name`` in this process, as bayesrm's own are. On the command line, and in the worker
    processes of sweeps, parts come from modules: ``--plugin``, see :mod:`bayesrm.utils.plugins`.

    Parameters
    ----------
    part : type
        A subclass of one of the base classes, such as ``brm.Criterion``, with a ``name`` of its own.

    Returns
    -------
    type
        The part, so that this is also a decorator.

    Raises
    ------
    InvalidInputError
        Where it is no subclass of a base class, has no name, is not complete, or its name is taken.

    See Also
    --------
    designs : The designs that there are, registered ones included.
    Criterion, Selector, Likelihood, Inference, Encoder, Annotator : What parts are subclasses of.

    Examples
    --------
    >>> import bayesrm as brm
    >>> from bayesrm.design.objectives.base import SumObjective
    >>> @brm.register
    ... class Near(brm.Criterion):
    ...     '''Pairs whose rewards are expected to be closest.'''
    ...     name = "near"
    ...     default_selector = "top"
    ...     selects_itself = True
    ...     def objective(self, posterior, candidates):
    ...         moments = posterior.reward_moments(candidates.pool, candidates.responses)
    ...         return SumObjective(lambda pairs: -moments.of(pairs).mean.abs())
    >>> "near" in brm.designs()
    True
    """
    if not inspect.isclass(part) or not isinstance(vars(part).get("name"), str):
        raise InvalidInputError(f"expected a class with a name of its own, name = '…', got {told(part)}")
    homes = [registry for registry in Registry.opened if issubclass(part, registry.base)]
    if not homes:
        there = ", ".join(sorted(registry.base.__name__ for registry in Registry.opened))
        raise InvalidInputError(
            f"expected a part: a subclass of a base class such as {there or 'brm.Criterion'}, "
            f"got {part.__qualname__}"
        )
    for registry in homes:
        try:
            registry._require_new(part, registry._parts())
        except TypeError as error:
            raise InvalidInputError(str(error)) from error
    plugins.add(part)
    return part


def _undefined(part: type[Any], base: type[Any]) -> Iterator[str]:
    """Class attributes that the base class announces without a value, and the part does not have."""
    for ancestor in base.__mro__:
        for name, annotation in vars(ancestor).get("__annotations__", {}).items():
            if str(annotation).startswith("ClassVar") and not hasattr(part, name):
                yield name


def _defined_in(part: Any, module: ModuleType) -> bool:
    return getattr(part, "__module__", None) == module.__name__
