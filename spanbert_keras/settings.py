"""Settings of a program: fields of a frozen dataclass, from which `program` makes flags, checked on construction."""

import dataclasses
import math
import os
import types
import typing
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from spanbert_keras.arguments import MAX_SIZE
from spanbert_keras.errors import InputError, shown

LONGEST_NAME = 255  # bytes, of a file or folder
LONGEST_PATH = 4095  # bytes
# The types of settings: what a value must be, and how that is called.
TYPES: dict[type, Any] = {bool: bool, int: Integral, float: Real, str: str, tuple: tuple | list}
EXPECTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    tuple: "a tuple of strings",
}


def setting(
    help: str,
    *,
    default: Any = dataclasses.MISSING,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[str] | None = None,
    changeable: bool = False,
    path: bool = False,
    formerly: Sequence[str] = (),
    repeated: bool = False,
) -> Any:
    """Returns the dataclass field of one setting: everything about it is in this call.

    Args:
        help: str. A noun phrase for `--help`, with the unit.
        default: value if the flag is not given; a setting without a default is required.
        minimum, maximum: number. The lowest and the highest value allowed.
        above: number. The value must be greater.
        below: number. The value must be less.
        choices: strings allowed, or `None` for any; of a tuple, each element.
        changeable: bool. Whether it may differ when a run continues in the same folder.
        path: bool. Whether it is a path, or several, in which `Settings` expands `~` and `$HOME`.
        formerly: names that the flag had in earlier versions. They are still accepted.
        repeated: bool. Whether the flag is given once for each element of a tuple, which may then hold commas. Any
            other flag that is given twice has its last value.

    Example:

    ```python
    import dataclasses
    from spanbert_keras.settings import Settings, setting

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(Settings):
        steps: int = setting("Number of updates.", minimum=1)
        log_every: int = setting("Steps between log lines.", default=50, minimum=1, changeable=True)
    ```
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "minimum": minimum,
            "maximum": maximum,
            "above": above,
            "below": below,
            "choices": choices,
            "changeable": changeable,
            "path": path,
            "formerly": tuple(formerly),
            "repeated": repeated,
        },
    )


class Settings:
    """Base of the dataclasses of settings.

    On construction paths are expanded, so `--output_dir=~/runs` works where no shell expands it (after `=`, inside
    lists, in flag files, in Python), and every value is checked, so that settings that exist can be used.

    A subclass changes only the default of an inherited setting by a plain value: `log_every: int = 20`.

    Raises:
        InputError: a value is out of its range or not among its choices, or settings contradict each other.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        bases = [base for base in reversed(cls.__mro__[1:]) if dataclasses.is_dataclass(base)]
        inherited = {field.name: field for base in bases for field in dataclasses.fields(base)}
        for field in inherited.values():
            default = vars(cls).get(field.name, field)
            if not isinstance(default, dataclasses.Field):
                setattr(cls, field.name, dataclasses.field(default=default, metadata=field.metadata))

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.metadata.get("path") and _is_path(value):
                value = tuple(map(expand, value)) if isinstance(value, tuple | list) else expand(value)
                object.__setattr__(self, field.name, value)
            _check_type(field, value)
            if field.metadata.get("path"):
                _check_paths(field, value)
            _check_range(field, value)
            _check_choice(field, value)
        self.check()

    def check(self) -> None:
        """Raises `InputError` if settings contradict each other; called on construction."""

    @classmethod
    def changeable(cls) -> tuple[str, ...]:
        """Returns the names of the settings that may differ when a run continues."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        return tuple(field.name for field in fields if field.metadata.get("changeable"))

    @classmethod
    def former_names(cls) -> dict[str, str]:
        """Returns a dict from the earlier names of settings to their present names."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        return {old: field.name for field in fields for old in field.metadata.get("formerly", ())}

    @classmethod
    def upgrade(cls, flags: dict[str, Any]) -> dict[str, Any]:
        """Returns the flags that an earlier version recorded as this version would have recorded them.

        Settings that were renamed have their present names; those that did not exist then have their defaults.
        """
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        known = {field.name: _plain(field.default) for field in fields if field.default is not dataclasses.MISSING}
        renamed = cls.former_names()
        return known | {renamed.get(name, name): value for name, value in flags.items()}


def to_flags(config: Any) -> dict[str, Any]:
    """Returns every setting of `config` by flag name, as plain JSON values."""
    return {name: _plain(value) for name, value in dataclasses.asdict(config).items()}


def _plain(value: Any) -> Any:
    """Returns a setting as a JSON value: a tuple becomes a list."""
    return list(value) if isinstance(value, tuple) else value


def _kind_of(field: dataclasses.Field) -> type:
    """Returns the type of a field's values: X of `X | None`, `tuple` of `tuple[str, ...]`."""
    kind: Any = field.type
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind = next(one for one in typing.get_args(kind) if one is not types.NoneType)
    return typing.get_origin(kind) or kind


def _is_path(value: Any) -> bool:
    """Returns whether a value is a path, or a sequence of them."""
    parts = value if isinstance(value, tuple | list) else (value,)
    return all(isinstance(part, str) or isinstance(part, os.PathLike) for part in parts)


def _check_type(field: dataclasses.Field, value: Any) -> None:
    """Raises `InputError` for a value of another type; `None` is a value that is not given, if that is the default."""
    kind = _kind_of(field)
    is_optional = field.default is None or isinstance(field.type, types.UnionType)
    if kind not in EXPECTED or value is None and is_optional:
        return
    fits = isinstance(value, TYPES[kind]) and (kind is bool or not isinstance(value, bool))
    if kind is tuple:
        fits = fits and all(isinstance(one, str) for one in value)
    if not fits:
        raise InputError(f"--{field.name} must be {EXPECTED[kind]}. Received: {shown(value)}.")


def _check_paths(field: dataclasses.Field, value: Any) -> None:
    """Raises `InputError` for a path that no file system takes: too long, or with NUL."""
    for path in value if isinstance(value, tuple | list) else (value,):
        for one in (path or "").split(","):
            try:
                encoded = os.fsencode(one)
            except UnicodeEncodeError:
                raise InputError(
                    f"--{field.name} must be a path that can be encoded. Received: {shown(one)}."
                ) from None
            longest = max(map(len, encoded.split(b"/")))
            if longest > LONGEST_NAME or len(encoded) > LONGEST_PATH:
                raise InputError(
                    f"--{field.name} has a name that is too long. Expected: at most {LONGEST_NAME} bytes for a name, "
                    f"{LONGEST_PATH} for a path. Received: {max(longest, len(encoded))} bytes, {one}."
                )
            if b"\0" in encoded:
                raise InputError(f"--{field.name} must be a path without NUL. Received: {shown(one)}.")


def _check_range(field: dataclasses.Field, value: Any) -> None:
    """Raises `InputError` for a number out of its range, or not a finite one; `None` is not checked."""
    minimum, maximum, above, below = map(field.metadata.get, ("minimum", "maximum", "above", "below"))
    if isinstance(value, Integral) and abs(int(value)) > MAX_SIZE:
        below = MAX_SIZE + 1 if below is None else below
        minimum = -MAX_SIZE if minimum is above is None else minimum
    if value is None or minimum is maximum is above is below is None:
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"--{field.name} must be a finite number. Received: {value}.")
        return
    low_enough = value < (math.inf if below is None else below) and (maximum is None or value <= maximum)
    if low_enough and (minimum is None or value >= minimum) and (above is None or value > above):
        return
    limits = ["positive"] if above == 0 else [f"above {above}"] if above is not None else []
    limits += [f"at least {minimum}"] if minimum is not None else []
    limits += [f"at most {maximum}"] if maximum is not None else []
    limits += [f"below {below}"] if below is not None else []
    raise InputError(f"--{field.name} must be {' and '.join(limits)}. Received: {shown(value)}.")


def _check_choice(field: dataclasses.Field, value: Any) -> None:
    """Raises `InputError` for a string that is not among the choices; `None` is not checked."""
    choices = field.metadata.get("choices")
    for one in value if isinstance(value, tuple | list) else (value,):
        if choices is not None and one is not None and one not in choices:
            raise InputError(f"--{field.name} must be one of {', '.join(choices)}. Received: {one}.")


def expand(text: str | os.PathLike) -> str:
    """Returns a path, or several separated by commas, with `~` and variables such as `$HOME` replaced.

    Parts that cannot be replaced stay: an undefined variable, an unknown user, a name such as `hf://owner/name`.
    """
    parts = os.path.expandvars(os.fspath(text)).split(",")
    blanks = [part[: len(part) - len(part.lstrip())] for part in parts]
    return ",".join(blank + _expand_user(part.lstrip()) for blank, part in zip(blanks, parts, strict=True))


def _expand_user(path: str) -> str:
    try:
        return os.path.expanduser(path)
    except ValueError:  # NUL or half a character: not the name of a user
        return path
