"""Take secrets out of text and of nested values before they reach a log, a plan, a run directory or a report.

Two tools, used together: `redact` knows the secrets' values and the shapes that secrets have in text; `scrub` knows
the names that secrets have in a mapping, such as SGLang's /server_info, which returns every argument with its API key.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import NoneType
from typing import TypeVar, get_args

from devstral_fleet.model import Value

REMOVED = "[removed]"
MINIMUM_SECRET_LENGTH = 4
"""A shorter 'secret' is no secret; taking out every 'a' would only spoil the text."""

KNOWN_NAMES = 4096
"""Names that are judged once: a long report says few of them, and each a thousand times."""

Scrubbed = TypeVar("Scrubbed")

_NUMBERS = frozenset({int, float, bool, NoneType})
_NAMES_REMOVED = frozenset({"launch_command"})
"""Holds the whole command line, API key included."""
_SECRET_WORDS = frozenset(
    {"password", "passwd", "passphrase", "secret", "secrets", "credential", "credentials", "authorization", "cookie"}
    | {"apikey", "apikeys", "bearer", "passcode"}
)
_HARMLESS_BEFORE_KEY = frozenset(
    {"public", "host", "extra", "cache", "sort", "routing", "metric", "primary", "foreign"}
)
_HARMLESS_BEFORE_TOKEN = frozenset(
    {"per", "bos", "eos", "pad", "unk", "cls", "sep", "mask", "image", "stop", "first", "last", "output", "input"}
    | {"prompt", "think", "next", "special", "each", "a", "to"}
)
_SECRET_BEFORE_PLURAL = frozenset({"api", "access", "auth", "admin", "private", "signing", "bearer", "hf", "refresh"})

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SHAPES = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REMOVED),
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}"), rf"\1\2{REMOVED}"),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), REMOVED),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{16,}"), REMOVED),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^/\s:@]*):[^/\s@]+@"), rf"\1:{REMOVED}@"),
)
_ASSIGNMENT = re.compile(
    r"""(?ix) (?P<name> \b (?:[a-z]+[_-])* (?:api[_-]?key|password|passwd|passphrase|secret|token) )
              (?P<sign> ["']? \s* [=:] \s* )
              (?P<value> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [^\s,;"'\])}]+ )"""
)
_OPTION = re.compile(
    r"""(?ix) (?P<name> -- (?:[a-z]+[_-])* (?:api[_-]?key|password|passwd|passphrase|secret|token) )
              (?P<sign> ["']?,? \s+ ) (?P<value> ["']? (?!-) [^\s"',]+ ["']? )"""
)
_SMALL_NUMBER = re.compile(r"\d[\d.,]{0,6}")
"""'time to first token: 36.2' is a measurement."""
_PLAIN_VALUES = frozenset({"none", "null", "true", "false", '""', "''", REMOVED})


def words_of(name: str) -> list[str]:
    """Split an identifier into its lower-case words: 'adminApi-key' -> ['admin', 'api', 'key']."""
    return [word.lower() for word in _WORD.findall(name)]


@lru_cache(maxsize=KNOWN_NAMES)
def is_secret_name(name: str) -> bool:
    """Say whether a mapping's key names a secret.

    'api_key', 'HF_TOKEN' and 'ssl_keyfile_password' do; 'max_total_tokens', 'tokenizer_path', 'eos_token',
    'kv_bytes_per_token' and 'private_key_file' (a path) do not.
    """
    words = words_of(name)
    if not words:
        return False
    if name.lower() in _NAMES_REMOVED or _SECRET_WORDS.intersection(words):
        return words[-1] not in {"file", "path", "directory"}
    before = words[-2] if len(words) > 1 else ""
    match words[-1]:
        case "key":
            return before not in _HARMLESS_BEFORE_KEY
        case "token":
            return before not in _HARMLESS_BEFORE_TOKEN
        case "keys" | "tokens":
            return before in _SECRET_BEFORE_PLURAL
    return False


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without the given secrets and without anything that looks like one.

    Args:
        text: a log line, a message, a command's output.
        secrets: values to take out wherever they stand; those shorter than four characters are passed over.
    """
    known = sorted({secret for secret in secrets if len(secret) >= MINIMUM_SECRET_LENGTH}, key=len, reverse=True)
    if known:
        text = re.sub("|".join(map(re.escape, known)), REMOVED, text)
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return _OPTION.sub(_without_value, _ASSIGNMENT.sub(_without_value, text))


def scrub(value: Scrubbed, secrets: Iterable[str] = ()) -> Scrubbed:
    """Return a copy of a JSON-like value or of one of ours, secrets removed by name and by shape, at every depth.

    A secret's name stays and its value becomes '[removed]', so a reader sees that one was set; None, booleans and
    numbers (of all but a password) stay as they are. Keys become strings, as in JSON.
    """
    return _scrubbed(value, tuple(secrets))  # type: ignore[return-value]


def _scrubbed(value: object, secrets: tuple[str, ...]) -> object:
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, Value):
        return value if _says_nothing(type(value)) else value.model_copy(update=_entries(dict(value), secrets))
    if isinstance(value, Mapping):
        return _entries(value, secrets)
    if isinstance(value, list | tuple):
        return type(value)(_scrubbed(entry, secrets) for entry in value)
    return value


def _entries(values: Mapping[str, object], secrets: tuple[str, ...]) -> dict[str, object]:
    return {_key(str(key), secrets): _entry(str(key), entry, secrets) for key, entry in values.items()}


@lru_cache
def _says_nothing(kind: type[Value]) -> bool:
    """Say that nothing but numbers can stand in such a value: a report has a sample of each GPU for each second."""
    return all(
        not _has_secret_word(name) and {*(get_args(field.annotation) or (field.annotation,))} <= _NUMBERS
        for name, field in kind.model_fields.items()
    )


@lru_cache(maxsize=KNOWN_NAMES)
def _key(name: str, secrets: tuple[str, ...]) -> str:
    return redact(name, secrets)


def _entry(name: str, value: object, secrets: tuple[str, ...]) -> object:
    if value in (None, "") or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and not _has_secret_word(name):
        return value  # a count of tokens; a password of digits is still a password
    return REMOVED if is_secret_name(name) else _scrubbed(value, secrets)


@lru_cache(maxsize=KNOWN_NAMES)
def _has_secret_word(name: str) -> bool:
    return bool(_SECRET_WORDS.intersection(words_of(name)))


def _without_value(match: re.Match[str]) -> str:
    """Replace the value of `name=value` unless name or value says that it is no secret; keep its quotes."""
    value = match["value"]
    if _SMALL_NUMBER.fullmatch(value) and match["name"].lower().endswith("token"):
        return match[0]
    if value.lower() in _PLAIN_VALUES or value.strip("\"'") in {"", REMOVED} or not is_secret_name(match["name"]):
        return match[0]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{match['name']}{match['sign']}{quote}{REMOVED}{quote}"
