"""What of a run may be shown to others: folders of the machine, keys and passwords stay at home.

Every text that leaves the process passes here: records and cards as `public`, whose readers need no path of
this machine; recipes, messages and whatever the command line says as `without_secrets`, whose reader does.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

HIDDEN = "***"
LEAST = 4
"""Characters of the shortest text that is hidden wherever it stands."""
_SECRET = re.compile(r"(^|_)(api_key|token|secret|password)$")
_SOUNDS_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASS|PW|CRED|AUTH|SIG|SAS|COOKIE", re.IGNORECASE)
_LOCAL = re.compile(r"(/|~|file:|[A-Za-z]:[\\/])")
_VARIABLES = re.compile(r"(\$\{\w+\})+")
# A password may hold a slash; a port may not be taken for one, nor the revision in hf://datasets/a/b@main.
# All is of limited length, so that no text takes long.
_USER = re.compile(
    r"""://([^\s/?#'"<>]{1,500}|[^\s/?#'"<>@:]{1,100}:(?!\d+[/?#])(?:(?!://)[^\s'"<>@]){1,200})@"""
)
_QUERY = re.compile(
    r"""(://[^\s?#'"<>]{1,2000}\?|\?(?=[^\s?=&'"<>]{1,100}=))([^\s#'"<>\\]*[^\s#'"<>\\;,.:)])"""
)
_hidden: dict[str, str] = {}


def hide(values: Mapping[str, str]) -> None:
    """From now on shows what stands for each of these texts in its place: `{"hf_abc": "${HF_TOKEN}"}`."""
    for value, shown in values.items():
        for spelled in (
            value,
            quote(value),
            quote(value, safe=""),
            json.dumps(value)[1:-1],
            repr(value)[1:-1],
        ):
            if len(value) >= LEAST:
                _hidden[spelled] = shown
    _pattern.cache_clear()
    public_text.cache_clear()


def hide_variable(name: str, value: str) -> None:
    """Hides the value of an environment variable, unless it is short and the name is not that of a secret:
    where `${SPLIT}` is "train", not every "train" is meant."""
    if len(value) >= 2 * LEAST or _SOUNDS_SECRET.search(name):
        hide({value: f"${{{name}}}"})


def hide_credentials(text: str) -> None:
    """Hides the password that an address holds, and what is long in its query, in any text hereafter."""
    for user in _USER.findall(text):
        _hide_parts([user.partition(":")[2] or user])
    for _, query in _QUERY.findall(text):
        _hide_parts([part.partition("=")[2] for part in query.split("&")])


def hidden() -> dict[str, str]:
    """All that is hidden here, for `hide` in another process."""
    return dict(_hidden)


def without_secrets(value: Any, key: str = "") -> Any:
    """Plain data or a text without passwords and keys; paths, which its reader needs, stay.

    A secret that comes from the environment is shown as the variable that it stands in.

    >>> without_secrets("no answer from simplecache::https://ann:pw@host/a.tar?sig=1")
    'no answer from simplecache::https://***@host/a.tar?sig=***'
    """
    return _mapped(value, key, without_secrets_of_text)


def public(value: Any, key: str = "") -> Any:
    """Plain data, such as a recipe, as others may read it.

    >>> public({"images": "/home/ann/photos/", "url": "https://ann:pw@host/a.tar?sig=1"})
    {'images': '.../photos', 'url': 'https://host/a.tar'}
    """
    return _mapped(value, key, public_text)


@functools.lru_cache(maxsize=4096)  # records repeat the names of few tars and models
def public_text(text: str) -> str:
    """An absolute local path -> its last name; a URL -> the same without user, password and query, each
    link of a chained one.

    Whatever is neither, a relative path, too, stays as it is.

    >>> public_text("/home/ann/laion/00037.tar")
    '.../00037.tar'
    """
    if "://" in text and not text.startswith("file:"):
        return without_secrets_of_text("::".join(map(_shortened, text.split("::"))))
    return without_secrets_of_text(_shortened(text))


def without_secrets_of_text(text: str) -> str:
    """A text, such as an error message, without the secrets in it; any other stays as it is."""
    if "://" in text or "?" in text:
        text = _QUERY.sub(_hide_query, _USER.sub(_hide_user, text))
    return _pattern().sub(lambda found: _hidden[found[0]], text) if _hidden else text


def is_private(text: str) -> bool:
    """True for a text that names a place on this machine."""
    return "://" not in text.removeprefix("file://") and bool(_LOCAL.match(text))


def is_hidden(text: str) -> bool:
    """True for a text in which something stands that was left out as a secret."""
    return text == HIDDEN or f"{HIDDEN}@" in text or f"={HIDDEN}" in text


def _mapped(value: Any, key: str, map_text: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {map_text(str(name)): _mapped(item, str(name), map_text) for name, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, key, map_text) for item in value]
    if not isinstance(value, str):
        return value
    return HIDDEN if _SECRET.search(key) and not _VARIABLES.fullmatch(value) else map_text(value)


def _shortened(text: str) -> str:
    """One link of an address, or a path."""
    if "://" in text and not text.startswith("file:"):
        try:
            parts = urlsplit(_USER.sub(_hide_user, text))
        except ValueError:
            return HIDDEN
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", parts.fragment))
    if _LOCAL.match(text):
        return ".../" + re.split(r"[\\/]", text.rstrip("\\/"))[-1]
    return text


def _hide_parts(parts: list[str]) -> None:
    hide({part: HIDDEN for part in parts if len(part) >= 2 * LEAST and not _VARIABLES.fullmatch(part)})


def _hide_user(found: re.Match[str]) -> str:
    """`ann:pw@` -> `***@`; `ann:${PW}@` stays: it tells nothing, and a recorded recipe needs it."""
    return found[0] if _VARIABLES.fullmatch(found[1].partition(":")[2] or found[1]) else f"://{HIDDEN}@"


def _hide_query(found: re.Match[str]) -> str:
    """`?sig=1&${REST}` -> `?sig=***&${REST}`."""
    start, query = found.groups()
    return start + "&".join(map(_hide_value, query.split("&")))


def _hide_value(part: str) -> str:
    name, equals, value = part.partition("=")
    return part if _VARIABLES.fullmatch(value or name) else f"{name if equals else ''}{equals}{HIDDEN}"


@functools.cache
def _pattern() -> re.Pattern[str]:
    return re.compile("|".join(re.escape(text) for text in sorted(_hidden, key=lambda text: -len(text))))
