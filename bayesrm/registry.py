"""Named parts that live one a file: a class placed in a folder is found by its ``name``.

So a new design, selector, inference or likelihood is one new file, and nothing else is edited.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from bayesrm.errors import UnknownNameError

T = TypeVar("T")


class Registry(Mapping[str, type[T]], Generic[T]):
    """The concrete subclasses of ``base`` found in the modules of a package, by their ``name``.

    Parameters
    ----------
    package
        Dotted name of the package whose modules are searched, when first asked.
    base
        The abstract class that the parts implement.
    kind
        What a part is called in messages.
    """

    def __init__(self, package: str, base: type[T], kind: str) -> None:
        self._package, self._base, self._kind = package, base, kind
        self._found: dict[str, type[T]] | None = None

    def _parts(self) -> dict[str, type[T]]:
        if self._found is None:
            package = importlib.import_module(self._package)
            found: dict[str, type[T]] = {}
            for module_info in pkgutil.iter_modules(package.__path__):
                module = importlib.import_module(f"{self._package}.{module_info.name}")
                for member in vars(module).values():
                    if (
                        inspect.isclass(member)
                        and issubclass(member, self._base)
                        and member.__module__ == module.__name__
                        and "name" in vars(member)
                    ):
                        self._require_new(member, found)
                        found[vars(member)["name"]] = member
            self._found = dict(sorted(found.items()))
        return self._found

    def _require_new(self, part: type[T], found: dict[str, type[T]]) -> None:
        """A part is complete, and its name is its own: what a copied file most easily gets wrong."""
        name = vars(part)["name"]
        if inspect.isabstract(part):
            missing = ", ".join(sorted(getattr(part, "__abstractmethods__", ())))
            raise TypeError(f"the {self._kind} {name!r} ({part.__module__}) does not define {missing}")
        if name in found:
            raise TypeError(f"{part.__module__} and {found[name].__module__} both have a {self._kind} {name!r}")

    def __getitem__(self, name: str) -> type[T]:
        parts = self._parts()
        if name not in parts:
            raise UnknownNameError(f"unknown {self._kind} {name!r}: there are {', '.join(parts)}")
        return parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts())

    def __len__(self) -> int:
        return len(self._parts())

    def lines(self) -> dict[str, str]:
        """What there is: name → the first line of the docstring."""
        return {name: (inspect.getdoc(part) or "").splitlines()[0] for name, part in self.items()}
