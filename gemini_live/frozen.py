"""A frozen dataclass that costs nothing to define: its methods are built when the first instance is made.

`dataclasses.dataclass` compiles the methods of a class when its module is imported, which takes 0.4 ms for each frozen
class. A session loads about a hundred, and makes instances of few of them before it connects. Any thread may use it.
"""

from dataclasses import Field, dataclass, field
from threading import Lock
from typing import Any, ClassVar, dataclass_transform

_building = Lock()


class _Unbuilt:
    """Stands for the fields of a class until they are needed: `fields`, `replace` and the like ask for them."""

    def __get__(self, instance: object, owner: type) -> dict[str, Field[Any]]:
        if owner is Frozen:
            raise AttributeError("Frozen itself has no fields")
        _build(owner)
        fields: dict[str, Field[Any]] = owner.__dict__["__dataclass_fields__"]
        return fields


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Frozen:
    """Base of what `@dataclass(frozen=True)` would make. Its subclasses cannot have subclasses."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]] = _Unbuilt()  # type: ignore[assignment]
    _kw_only: ClassVar[bool]

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        if cls.__base__ is not Frozen:
            raise TypeError(f"{cls.__name__} cannot extend a class that is frozen: it would be built by that class")
        cls._kw_only = kw_only

    def __init__(self, *args: object, **values: object) -> None:
        """Build the class, whose own `__init__` then takes the place of this one."""
        _build(type(self))
        type(self).__init__(self, *args, **values)


def _build(cls: type[Any]) -> None:
    """Build the dataclass, unless another thread has."""
    with _building:
        if "__init__" not in cls.__dict__:
            dataclass(frozen=True, kw_only=cls._kw_only)(cls)
