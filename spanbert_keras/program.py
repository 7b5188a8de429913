"""Command lines from frozen dataclasses: dataclass -> absl flags -> dataclass. No flag is defined at import."""

import codecs
import contextlib
import dataclasses
import inspect
import itertools
import logging as python_logging
import os
import re
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import flags, logging

import spanbert_keras
from spanbert_keras.errors import INPUT_EXIT_CODE, InputError, short_message, shown
from spanbert_keras.files.file_types import binary_form, looks_binary
from spanbert_keras.program_start import import_public_names
from spanbert_keras.settings import Settings, expand, setting, to_flags
from spanbert_keras.standard_streams import lenient_streams

__all__ = [
    "INPUT_EXIT_CODE",
    "InputError",
    "Settings",
    "decode_text",
    "parse",
    "run",
    "setting",
    "shown",
    "to_arguments",
    "to_flags",
]

USAGE_EXIT_CODE = 2
DEFECT_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h

MAX_FLAG_FILES = 100  # read for one command line
MAX_FLAG_BYTES = 1 << 20  # of one of them
NAMED_FLAG = re.compile(r"--?(?P<name>\w+)")
REPEAT = ";\n    repeat this option to specify a list of values"  # that absl adds to the text of a flag
FLAG_FILE = re.compile(r"--?flagfile(=(?P<path>.*))?", re.DOTALL)


def decode_text(data: bytes) -> str:
    """Returns the text of a file that a user wrote: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises:
        ValueError: it is neither. The message names the fault and the remedy.
    """
    form = binary_form(data)
    if form:
        raise ValueError(f"is {form}. Expected: UTF-8, or UTF-16 with a byte order mark.")
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not data.startswith(codecs.BOM_UTF32_LE)
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        if not marked and looks_binary(data):
            raise ValueError(
                "is not text: it has NUL bytes or many control characters. Expected: UTF-8, or UTF-16 with a byte "
                "order mark."
            ) from None
        raise ValueError(
            f"is not UTF-8 text. Received: byte 0x{error.object[error.start]:02x} at byte {error.start}. "
            "Expected: UTF-8, or UTF-16 with a byte order mark. Convert it, e.g. with iconv."
        ) from error


def _with_flag_files(
    arguments: Sequence[str], inside: tuple[str, ...] = (), count: Iterator[int] | None = None
) -> list[str]:
    """Returns a command line with every `--flagfile`, also inside flag files, replaced by the lines of the file."""
    count = itertools.count(1) if count is None else count
    found: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        directive = FLAG_FILE.fullmatch(argument)
        if argument == "--":
            return [*found, argument, *rest]
        if directive is None:
            found.append(argument)
            continue
        path = next(rest, None) if directive[1] is None else directive["path"]
        if path is None:
            raise flags.Error("--flagfile names no file. Expected: --flagfile=path.")
        path = expand(path.strip())
        if path and next(count) > MAX_FLAG_FILES:
            raise flags.Error(f"--flagfile={path} is one of more than {MAX_FLAG_FILES} flag files. Give fewer.")
        if path in inside:
            raise flags.Error(f"--flagfile={path} includes itself. Remove that line from {inside[-1]}.")
        found += _with_flag_files(_flag_lines(path), (*inside, path), count) if path else []
    return found


def _flag_lines(path: str) -> list[str]:
    """Returns the flags in a file: its lines, without blank lines and comments."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FLAG_BYTES + 1)
        if len(content) > MAX_FLAG_BYTES:
            raise ValueError(f"has more than {MAX_FLAG_BYTES:,} bytes. Expected: flags, one per line.")
        text = decode_text(content)
    except OSError as error:
        raise flags.Error(f"--flagfile={path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise flags.Error(f"--flagfile={path} {error}") from error
    if "\0" in text:
        raise flags.Error(
            f"--flagfile={path} is not text: it has NUL bytes. Expected: UTF-8, or UTF-16 with a byte order mark."
        )
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text) if not line.startswith(("#", "//"))]
    # As the shell gives them where the file system's encoding is not UTF-8.
    return [os.fsdecode(line.encode("utf-8", "surrogateescape")) for line in lines if line]


def _with_present_names(arguments: Sequence[str], config_class: type) -> list[str]:
    """Returns a command line with the former names of flags replaced by the present ones."""
    renamed = config_class.former_names() if issubclass(config_class, Settings) else {}
    found: list[str] = []
    for i, argument in enumerate(arguments):
        if argument == "--":
            return [*found, *arguments[i:]]
        match = NAMED_FLAG.match(argument)
        new = renamed.get(match["name"]) if match else None
        found.append(f"--{new}{argument[match.end() :]}" if match and new else argument)
    return found


def _value_type(annotation: Any) -> Any:
    """Returns X of an annotation `X | None`, or the annotation itself."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return next(a for a in typing.get_args(annotation) if a is not type(None))
    return annotation


def _define(field: dataclasses.Field, annotation: Any, values: flags.FlagValues) -> None:
    """Defines the absl flag of one dataclass field."""
    required = field.default is dataclasses.MISSING
    default: Any = None if required else field.default
    text = field.metadata["help"] + (" Required." if required else "")
    kind = _value_type(annotation)
    if field.metadata["choices"] is not None and kind is str:
        flags.DEFINE_enum(field.name, default, list(field.metadata["choices"]), text, flag_values=values)
    elif kind is bool:
        flags.DEFINE_bool(field.name, default, text, flag_values=values)
    elif kind is int:
        flags.DEFINE_integer(field.name, default, text, flag_values=values)
    elif kind is float:
        flags.DEFINE_float(field.name, default, text, flag_values=values)
    elif typing.get_origin(kind) is tuple and field.metadata["repeated"]:
        flags.DEFINE_multi_string(field.name, None if default is None else list(default), text, flag_values=values)
    elif typing.get_origin(kind) is tuple:
        flags.DEFINE_list(field.name, None if default is None else list(default), text, flag_values=values)
    else:
        flags.DEFINE_string(field.name, default, text, flag_values=values)


def _convert(value: Any, annotation: Any, is_path: bool) -> Any:
    """Turns an absl list into the field's tuple; text that is not a path is UTF-8 in every locale."""
    if isinstance(value, list) and typing.get_origin(_value_type(annotation)) is tuple:
        return tuple(_convert(one, str, is_path) for one in value)
    if isinstance(value, str) and not is_path:
        with contextlib.suppress(UnicodeEncodeError):  # lone surrogates that do not come from undecodable bytes
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value


def parse(config_class: type, argv: Sequence[str], about: str = "") -> Any:
    """Parses a command line into an instance of `config_class`.

    `--flagfile=path` reads flags from a file: one per line, `#` comments on their own line. Later flags override
    earlier ones. The file is UTF-8, or UTF-16 with a byte order mark, and may include other flag files.

    Args:
        config_class: a frozen dataclass whose fields were made by `setting`.
        argv: list of str, without the program's name.
        about: str. Description of the program in `--help`. Defaults to the docstring of the class's module.

    Raises:
        absl.flags.Error: an unknown flag, a value of the wrong type, a required flag that is missing.
        InputError: a value that `Settings` rejects.
    """
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "File with more flags, one per line.", flag_values=values)
    flags.DEFINE_bool("help", False, "Shows this text.", short_name="h", flag_values=values)
    flags.DEFINE_bool("helpfull", False, "Shows the same.", flag_values=values)
    flags.DEFINE_bool("version", None, "Shows the version of spanbert_keras.", flag_values=values)
    annotations = typing.get_type_hints(config_class)
    fields = _fields_of(config_class)
    for field in fields:
        _define(field, annotations[field.name], values)
    try:
        rest = values(["program", *_with_present_names(_with_flag_files(argv), config_class)])[1:]
    except RecursionError:  # absl compares an unknown name with the known ones, letter by letter
        raise flags.Error("The name of a flag has more than 900 characters. Expected: --name=value.") from None
    if values["version"].value:
        print(f"spanbert_keras {spanbert_keras.__version__}")
        raise SystemExit(0)
    if values["help"].value or values["helpfull"].value:
        print(_help_text(about or _about(config_class), config_class, values))
        raise SystemExit(0)
    if rest:
        raise flags.Error(f"Unexpected argument: {rest[0]!r}. Every setting is a flag, --name=value.")
    missing = [f.name for f in fields if f.default is dataclasses.MISSING and values[f.name].value is None]
    if missing:
        raise flags.Error(f"Required flag is missing: --{missing[0]}.")
    return config_class(
        **{f.name: _convert(values[f.name].value, annotations[f.name], f.metadata["path"]) for f in fields}
    )


def _fields_of(config_class: type) -> list[dataclasses.Field]:
    """Returns the fields of a dataclass in the order of `--help`.

    Required ones come first; of both kinds, those of the class itself come before those that it inherits.
    """
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    names = dict.fromkeys(name for base in config_class.__mro__ for name in inspect.get_annotations(base))
    own_first = [fields[name] for name in names if name in fields]
    return sorted(own_first, key=lambda field: field.default is not dataclasses.MISSING)


def _about(defined: Any) -> str:
    """Returns the docstring of the module of a class or function, or its own docstring if the module has none."""
    return getattr(sys.modules.get(defined.__module__), "__doc__", None) or defined.__doc__ or ""


def _help_text(about: str, config_class: type, values: flags.FlagValues) -> str:
    """Returns the text of `--help`: the description, and every flag with its default and meaning."""
    lines = [about.strip(), "", "Flags:"]
    for name in ["flagfile", "version", *(field.name for field in _fields_of(config_class))]:
        flag = values[name]
        shown = "" if flag.default in (None, "", []) else f" (default: {str(flag.default_as_str).strip(chr(39))})"
        text = flag.help.removesuffix(REPEAT)
        if choices := getattr(flag.parser, "enum_values", None):
            bare = text.removeprefix(f"<{'|'.join(choices)}>: ")  # absl puts the choices before the text
            text = f"{bare} One of: {', '.join(choices)}."
        lines += [f"  --{name}{shown}", f"      {text}"]
    return "\n".join(lines)


def to_arguments(config: Any) -> list[str]:
    """Returns the command line that `parse` turns into `config`."""
    arguments = []
    repeated = {field.name for field in _fields_of(type(config)) if field.metadata.get("repeated")}
    for name, value in to_flags(config).items():
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no{name}")
        elif name in repeated:
            arguments += [f"--{name}={one}" for one in value or ()]
        elif value is not None:
            arguments.append(f"--{name}={','.join(map(str, value)) if isinstance(value, list) else value}")
    return arguments


def run(main: Callable[[Any], None], config_class: type, argv: Sequence[str] | None = None) -> None:
    """Parses the command line, calls `main(config)` and ends the process.

    Exit codes: 0 success; 1 unusable input (`InputError`: one sentence, no traceback); 2 a wrong flag; 70
    (`DEFECT_EXIT_CODE`) any other exception, a defect or a device error, with its traceback. It is not Python's 1,
    because starting again may help. 130 interrupted. A `SystemExit` of `main` keeps its code. Printing never ends a
    job (`lenient_streams`); if a full disk has lost standard output, the exit code is 1 after the job is done.
    """
    with lenient_streams() as lost:
        _run(main, config_class, argv)
    if lost:
        print(f"Error: standard output could not be written: {lost[0].strerror}.", file=sys.stderr)
        raise SystemExit(INPUT_EXIT_CODE)


def _import_backend() -> None:
    """Imports the public names, and with them Keras and its backend.

    Raises:
        InputError: the backend that `KERAS_BACKEND` names is unknown or not installed.
    """
    backend = os.environ.get("KERAS_BACKEND", "")
    try:
        import_public_names()
    except (ModuleNotFoundError, ValueError) as error:
        if backend not in ("", "tensorflow", "jax", "torch"):
            raise InputError(
                f"KERAS_BACKEND={backend} is not supported. Expected: tensorflow, jax or torch."
            ) from error
        if getattr(error, "name", None) != backend or backend == "tensorflow":
            raise
        extra = backend
        raise InputError(
            f"KERAS_BACKEND={backend} needs a package that is not installed. Install it with "
            f'`pip install "spanbert-keras[{extra}]"`, or choose another backend.'
        ) from error


def _run(main: Callable[[Any], None], config_class: type, argv: Sequence[str] | None) -> None:
    """Runs the program as `run` describes, inside of lenient streams."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            config = parse(config_class, arguments, _about(main))
        except flags.Error as error:
            print(f"Error: {short_message(str(error))} (--help lists every flag)", file=sys.stderr)
            raise SystemExit(USAGE_EXIT_CODE) from None
        flags.FLAGS.mark_as_parsed()  # absl's logger warns unless the global flags are parsed
        logging.use_absl_handler()
        logging.set_verbosity(logging.INFO)
        python_logging.getLogger("jax").setLevel(python_logging.WARNING)  # unless JAX_LOGGING_LEVEL is set
        _import_backend()
        main(config)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(INPUT_EXIT_CODE) from None
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception:
        traceback.print_exc()
        raise SystemExit(DEFECT_EXIT_CODE) from None
