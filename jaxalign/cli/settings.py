"""A file with the options of a command: TOML or JSON, or the config.json of a run, which says what
can be run again.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

import tyro

from jaxalign._core.numerals import is_float
from jaxalign.cli.checks import flag

Commands = Mapping[str, type[Any]]
"""{name of a command: the dataclass of its options}."""


def options_from(file: Path, commands: Commands, arguments: Sequence[str]) -> Any:
    """The options of a command: those of a file, and over them those of the command line.

    Args:
      file: a table of options, perhaps under the command's name; keys are names of options, with
        hyphens or underscores.
      commands: that take a file.
      arguments: of the command line, the command first.

    Raises:
      FileNotFoundError: no such file.
      ValueError: another command, or none; a file that is damaged, or that names an option that the
        command does not have.
    """
    command, *rest = arguments or [""]
    if command not in commands:
        raise ValueError(
            f"--config is for jaxalign {', '.join(commands)}, found {command or 'no command'}; "
            "write the command first"
        )
    options = commands[command]
    table = _table(file, command, list(commands))
    known = {field.name: field for field in fields(options)}
    _require_known(file, command, list(table), list(known))
    chosen = {key.replace("-", "_"): value for key, value in table.items()}
    from_file: list[str] = []
    missing = []
    hints = get_type_hints(options, include_extras=True)
    for name, field in known.items():
        positional = tyro.conf.Positional in getattr(hints[name], "__metadata__", ())
        if name in chosen and is_dataclass(hints[name]):
            raise ValueError(
                f"{file} names {name}, which has options of its own; it and they belong on the "
                "command line"
            )
        if name in chosen:
            from_file += _arguments(file, field, chosen[name], positional=positional)
        elif field.default is MISSING:
            # It may be on the command line; here something stands in for it.
            from_file.append("-")
            missing.append(name)
    prog = f"jaxalign {command}"
    defaults = tyro.cli(options, args=from_file, prog=f"{prog} --config {file}")
    defaults = _without(defaults, missing)
    return tyro.cli(options, args=rest, default=defaults, prog=prog)


def _without(options: Any, names: Sequence[str]) -> Any:
    """Options of which some have to be on the command line: A and B of `jaxalign compare` too,
    which have options of their own.
    """
    missing = {}
    for name in names:
        missing[name] = value = getattr(options, name)
        if not is_dataclass(value):
            missing[name] = tyro.MISSING
        else:
            own = [field.name for field in fields(value) if field.default is MISSING]
            missing[name] = _without(value, own)
    return replace(options, **missing)


def _table(file: Path, command: str, commands: Sequence[str]) -> Mapping[str, Any]:
    """The table of a command in a file."""
    content = _read(file)
    own = content.get(command)
    if not isinstance(own, dict):
        tables = [key for key in content if key in commands and isinstance(content[key], dict)]
        if tables:
            raise ValueError(
                f"{file} has a table for {', '.join(tables)} and none for {command}; add a table "
                f"[{command}], or leave out --config"
            )
        return content
    # The config.json of a run says more than its settings.
    others = [key for key in content if key not in commands and "measured" not in content]
    if others:
        raise ValueError(
            f"{file} has a table {command} and, beside it, {', '.join(others)}; move them into the "
            "table"
        )
    return own


def _read(file: Path) -> dict[str, Any]:
    if file.is_dir():
        raise ValueError(f"{file} is a folder; pass a file, as {file / 'config.json'} of a run")
    try:
        # Some editors begin a file with a mark of its encoding.
        text = file.read_text(encoding="utf-8-sig")
        content = _of_json(text) if file.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); it must be TOML or, .json, JSON") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold a JSON object, found a {type(content).__name__}")
    return content


def _of_json(text: str) -> Any:
    def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"{twice} stands there twice; leave one out")
        return table

    return json.loads(text, object_pairs_hook=each_key_once)


def _require_known(file: Path, command: str, keys: Sequence[str], known: Sequence[str]) -> None:
    names = [key.replace("-", "_") for key in keys]
    unknown = [key for key, name in zip(keys, names, strict=True) if name not in known]
    if unknown:
        alike = [near for key in unknown for near in get_close_matches(key, known, 1)]
        near = f" (is {', '.join(alike)} meant?)" if alike else ""
        raise ValueError(
            f"{file} names what is not an option of jaxalign {command}: {', '.join(unknown)}"
            f"{near}; `jaxalign {command} --help` lists the options"
        )
    twice = [key for key, name in zip(keys, names, strict=True) if names.count(name) > 1]
    if twice:
        raise ValueError(f"{file} names an option twice: {', '.join(twice)}")


def _arguments(file: Path, field: Field, value: Any, *, positional: bool) -> Iterator[str]:
    """An option as the command line has it; nothing where it is the default."""
    values = value
    if isinstance(value, list):
        values = tuple(value)
    if values == field.default and type(values) is type(field.default):
        return
    is_many = isinstance(field.default, tuple)
    each = value if is_many and isinstance(value, list) else [value]
    _require_kind(file, field, each)
    if positional or isinstance(value, list):
        _require_no_option(file, field, each)
    if positional:
        yield from map(str, each)
    elif isinstance(value, bool):
        if not value:
            yield flag(f"no-{field.name}")
        else:
            yield flag(field.name)
    elif isinstance(value, list):
        yield from (flag(field.name), *map(str, each))
    else:
        yield f"{flag(field.name)}={value}"


def _require_kind(file: Path, field: Field, values: Sequence[Any]) -> None:
    """What becomes text alike would be read as something else: yes as a model after a switch."""
    is_switch = isinstance(field.default, bool)
    allowed = "true or false" if is_switch else "one value"
    if isinstance(field.default, tuple):
        allowed = "a value or a list of values"
    for value in values:
        is_other = value is None or isinstance(value, list | dict)
        if is_other or isinstance(value, bool) != is_switch:
            found = "null" if value is None else repr(value)
            raise ValueError(f"{file}: {field.name} must be {allowed}, found {found}")


def _require_no_option(file: Path, field: Field, values: Sequence[Any]) -> None:
    for value in values:
        if isinstance(value, str) and value.startswith("-") and not is_float(value):
            raise ValueError(
                f"{file}: {field.name} must not begin with -, as options do, found {value!r}; "
                "write a path as ./-name"
            )
