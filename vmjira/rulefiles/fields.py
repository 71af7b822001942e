"""Kinds of values in rule files: each reads YAML's value, describes itself, and knows its JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

from vmjira.rulefiles.problems import UNKNOWN
from vmjira.rulefiles.templates import check_jinja
from vmjira.rulefiles.words import chosen, described, meant, quoted

Shape = dict[str, Any]


class Keys(Schema):
    """A mapping whose keys are all known."""

    TOGETHER: ClassVar[Shape] = {}  # JSON Schema of what must hold between keys

    class Meta:
        unknown = EXCLUDE  # `only_known_keys` says it better

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def only_known_keys(self, data: Any, original: Any, **_: Any) -> None:
        if isinstance(original, Mapping):
            unknown = [key for key in original if key not in self.fields]
            if unknown:
                raise ValidationError({key: [f"{UNKNOWN} {quoted(key)}; {meant(key, self.fields)}"] for key in unknown})


class Value(fields.Field[Any]):
    """One value. `example` is what a person may write; `default` is shown where the key may be left out."""

    shape: ClassVar[Shape] = {}

    def __init__(self, about: str, example: Any, *, default: Any = None, required: bool = False) -> None:
        shown = str(example).lower() if isinstance(example, bool) else example
        super().__init__(
            required=required,
            metadata={"description": about, "example": example, "default": default},
            error_messages={
                "required": f"is missing; write for instance: {shown}",
                "null": "is empty; give a value or remove the key",
            },
        )

    def json(self) -> Shape:
        return self.shape


class Text(Value):
    """Text, turned into a value by `parse`."""

    def __init__(  # noqa: PLR0913 - what a person is told of a value, all by name
        self,
        about: str,
        example: str,
        *,
        parse: Callable[[str], Any] = str,
        pattern: str = "",
        numbers: bool = False,
        default: Any = None,
        required: bool = False,
    ) -> None:
        super().__init__(about, example, default=default, required=required)
        self.parse, self.pattern, self.numbers = parse, pattern, numbers

    def json(self) -> Shape:
        kind = ["string", "integer"] if self.numbers else "string"
        return {"type": kind, "minLength": 1} | ({"pattern": f"^{self.pattern}$"} if self.pattern else {})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:
        if self.numbers and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # ids of plugins are numbers to people
        if not isinstance(value, str):
            raise ValidationError(self.not_text(value))
        if not value.strip():
            raise ValidationError("is empty; give a value or remove the key")
        try:
            return self.parse(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None

    def not_text(self, value: Any) -> str:
        if isinstance(value, dict | list):
            return f"{described(value)} where text is wanted; put text that starts with a bracket or brace in quotes"
        try:
            self.parse(str(value).lower() if isinstance(value, bool) else str(value))
        except ValueError as error:  # quotes would not help
            return str(error)
        return f"{described(value)} where text is wanted; put it in quotes"


class Secret(Text):
    """A reference to the environment; what stands there is never repeated."""

    def not_text(self, value: Any) -> str:
        return "a secret must not stand in a rule file; put it into the environment and write ${NAME} here"


class Choice(Value):
    def __init__(
        self, about: str, example: str, *, of: Sequence[str], default: Any = None, required: bool = False
    ) -> None:
        super().__init__(about, example, default=default, required=required)
        self.of = tuple(of)

    def json(self) -> Shape:
        return {"enum": list(self.of)}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        if value not in self.of:
            raise ValidationError(f"{described(value)} is not possible; {chosen(value, self.of)}")
        return str(value)


class Switch(Value):
    """Off (`false`), or one of several ways of being on; `true` stands for the first of them."""

    def __init__(self, about: str, example: str, *, of: Sequence[str], default: Any = None) -> None:
        super().__init__(about, example, default=default)
        self.of = tuple(of)

    def json(self) -> Shape:
        return {"enum": [False, *self.of, True]}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str | bool:
        if isinstance(value, bool):
            return self.of[0] if value else False
        if value in ("true", "false"):
            raise ValidationError(f"{described(value)} in quotes is not possible; write {value} without quotes")
        if value not in self.of:
            raise ValidationError(f"{described(value)} is not possible; {chosen(value, ('false', *self.of, 'true'))}")
        return str(value)


class Number(Value):
    def __init__(self, about: str, example: float, *, between: tuple[float, float], default: Any = None) -> None:
        super().__init__(about, example, default=default)
        self.low, self.high = between
        self.whole = isinstance(example, int)

    def json(self) -> Shape:
        return {"type": "integer" if self.whole else "number", "minimum": self.low, "maximum": self.high}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> float:
        kinds = int if self.whole else int | float
        if isinstance(value, bool) or not isinstance(value, kinds) or not self.low <= value <= self.high:
            kind = "whole number" if self.whole else "number"
            raise ValidationError(f"{described(value)} is not possible; a {kind} from {self.low} to {self.high}")
        return value if self.whole else float(value)


class Flag(Value):
    shape: ClassVar[Shape] = {"type": "boolean"}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError(f"{described(value)} is not possible; write true or false, without quotes")
        return value


class Day(Value):
    shape: ClassVar[Shape] = {"type": "string", "format": "date"}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> date:
        try:
            if isinstance(value, datetime):
                raise ValueError
            return value if isinstance(value, date) else date.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValidationError(f"{described(value)} is no date; write for instance 2027-06-30") from None


class Free(Value):
    """Keys and values of the tracker's own. Text in them may be Jinja where `jinja` is true."""

    shape: ClassVar[Shape] = {"type": ["object", "null"]}

    def __init__(self, about: str, example: Any, *, jinja: bool = False, default: Any = None) -> None:
        super().__init__(about, example, default=default)
        self.jinja, self.allow_none = jinja, True

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError(f"{described(value)} where keys are wanted, such as {{environment: Boston}}")
        errors = self.errors(value) if self.jinja else {}
        if errors:
            raise ValidationError(errors)
        return value

    def errors(self, value: Any) -> dict[Any, Any]:
        """Errors of every text below `value`, nested as the values are."""
        found: dict[Any, Any] = {}
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(inner, dict | list):
                found[key] = self.errors(inner)
            elif isinstance(inner, str):
                try:
                    check_jinja(inner)
                except ValueError as error:
                    found[key] = [str(error)]
        return {key: errors for key, errors in found.items() if errors}


class Section(fields.Nested):
    """Keys below a key; an empty section is one without keys."""

    def __init__(self, schema: type[Keys], about: str = "", *, default: Any = None) -> None:
        super().__init__(
            schema,
            allow_none=True,
            metadata={"description": about, "default": default},
            error_messages={"null": "is empty; give its keys or remove it"},
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, partial: Any = None, **options: Any) -> Any:
        if not isinstance(value, dict):
            names = ", ".join(self.schema.fields)
            raise ValidationError(f"{described(value)} where keys are wanted; allowed: {names}")
        return super()._deserialize(value, attr, data, partial, **options)


class ListOf(fields.List[Any]):
    """A list, given as a tuple; `least` is the number of entries that it must have."""

    def __init__(
        self, inner: Value | Section, about: str, *, least: int = 0, default: Any = None, required: bool = False
    ) -> None:
        self.least = least
        inner.allow_none = False
        super().__init__(
            inner,
            required=required,
            allow_none=least == 0,
            metadata={"description": about, "default": default},
            error_messages={"required": "is missing; write a list", "null": "is empty; list at least one"},
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, list):
            example = f"; write [{value}]" if isinstance(value, str) else ""
            raise ValidationError(f"{described(value)} where a list is wanted{example}")
        if len(value) < self.least:
            raise ValidationError("is empty; list at least one")
        return tuple(super()._deserialize(value, attr, data, **options))
