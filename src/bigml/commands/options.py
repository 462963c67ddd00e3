"""Options: the fields of a pydantic model as options of a command."""

from __future__ import annotations

import types
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from bigml.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

PLAIN: dict[Any, click.ParamType[Any]] = {int: click.INT, float: click.FLOAT, str: click.STRING}


def config_options(model: type[BaseModel], taken: set[str]) -> list[click.Parameter]:
    """One option a field, with its name, type, default and description.

    Raises:
        ConfigError: A field has a name that the command itself uses.
    """
    clash = sorted(taken & set(model.model_fields))
    if clash:
        raise ConfigError(
            "config fields with names of their own", got=f"`{clash[0]}`, an option of `bigml run`", do="Rename the field."
        )
    return [_option(name, field) for name, field in model.model_fields.items()]


def build_config(model: type[BaseModel], stored: Mapping[str, Any], given: Mapping[str, Any]) -> BaseModel:
    """The config of stored values and, over them, the options that were given; to the bit as a resumed run would read it.

    Raises:
        click.BadParameter: A value is not allowed; names the option.
        ConfigError: A stored value is not allowed any more.
    """
    told = {name: value for name, value in given.items() if value is not None and value != ()}
    try:
        return model.model_validate(model.model_validate({**stored, **told}).model_dump(mode="json"))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if name in stored and name not in told:
            raise ConfigError(f"a right value for `{name}`: {first['msg']}", got=repr(first["input"])) from None
        raise click.BadParameter(first["msg"], param_hint=f"'--{name.replace('_', '-')}'" if name else None) from None


def _option(name: str, field: FieldInfo) -> click.Option:
    kind, is_list = _kind(field.annotation)
    flag = name.replace("_", "-")
    text = field.description or ""
    if not field.is_required():
        default = field.get_default(call_default_factory=True, validated_data={})
        text += f"  [default: {_default(default)}]" if default is not None else ""
    declaration = f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}"
    return click.Option(
        [declaration, name],
        type=None if kind is bool else _click_type(kind),
        default=None,
        multiple=is_list,
        required=field.is_required(),
        help=text,
    )


def _default(value: Any) -> str:
    return "yes" if value is True else "no" if value is False else str(value.value if isinstance(value, Enum) else value)


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The type of one value, without `| None`, and whether there may be many."""
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _kind(members[0]) if len(members) == 1 else (str, False)
    if get_origin(annotation) in (list, tuple, set, frozenset):
        return _kind(get_args(annotation)[0])[0], True
    return annotation, False


def _click_type(kind: Any) -> click.ParamType[Any]:
    if get_origin(kind) is Literal:
        return click.Choice([str(choice) for choice in get_args(kind)])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return click.Choice([str(member.value) for member in kind])
    if kind is Path:
        return click.Path(path_type=Path)
    return PLAIN.get(kind, click.STRING)
