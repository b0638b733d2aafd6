"""What a site gives to the build of an image (pure): its package index, mirror, proxies and certificates.

Nothing of it is in the image but the certificates that the inventory names: the rest is only used to get there.
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from urllib.parse import urlsplit
from urllib.request import url2pathname

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
"""Docker hands these to every step of a build and keeps them out of the image's history."""
MIRROR_VARIABLE, BUNDLE_VARIABLE = "FLEET_APT_MIRROR", "SSL_CERT_FILE"
CARRIED = ("index-url", "extra-index-url", "trusted-host", "timeout", "default-timeout", "retries", "proxy", "no-index")
"""Settings of pip that mean the same in the build as here."""
PLACES = ("find-links", "index-url", "extra-index-url")
"""Settings of pip that may name a folder of this machine."""
WHEELS = "site/wheels"
_LINE = re.compile(r"^(?P<section>:env:|[\w-]+)\.(?P<name>[\w-]+)=(?P<value>'.*'|\".*\")$")
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class BuildSite:
    """One site's inputs.

    Attributes:
        pip: settings of pip that the build takes over. places: folders of this machine where pip finds wheels.
        proxies: names of the environment's variables that name a proxy; their values are handed on unseen.
        apt_mirror: asked in place of the base image's own, '' for those.
        bundle: path of the certificates by which index, mirror and proxy are known, '' for the base image's own.
    """

    pip: Mapping[str, str] = field(default_factory=dict)
    places: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    apt_mirror: str = ""
    bundle: str = ""

    def pip_configuration(self, *, has_wheels: bool, has_bundle: bool) -> str:
        """Return pip.conf as the build has it."""
        own = {"find-links": f"/build/{WHEELS}"} if has_wheels else {}
        links = " ".join([*own.values(), self.pip.get("find-links", "")]).split()
        settings = {name: value for name, value in self.pip.items() if name != "find-links"}
        settings |= {"find-links": " ".join(links)} if links else {}
        settings |= {"cert": "/build/site/ca.pem"} if has_bundle else {}
        lines = [f"{name} = {_indented(value)}" for name, value in sorted(settings.items())]
        return "\n".join(["[global]", *lines, ""])


def site(
    pip_settings: Mapping[str, str], environment: Mapping[str, str], *, apt_mirror: str = "", bundle: str = ""
) -> BuildSite:
    """Put a site's inputs together.

    Args:
        pip_settings: this machine's (`settings`). apt_mirror: the inventory's, before the environment's
            FLEET_APT_MIRROR. bundle: the inventory's, before pip's `cert` here, before the environment's SSL_CERT_FILE.
    """
    carried = {name: value for name in CARRIED if (value := _remote(pip_settings.get(name, "")))}
    if _local(pip_settings.get("index-url", "")):  # the build must not ask the public one in its place
        first, *rest = carried.pop("extra-index-url", "").split() or [""]
        carried |= {"index-url": first} if first else {"no-index": "true"}
        carried |= {"extra-index-url": " ".join(rest)} if rest else {}
    links = _remote(pip_settings.get("find-links", ""))
    proxies = [each for name in PROXIES for each in (name, name.lower()) if environment.get(each)]
    return BuildSite(
        pip={**carried, **({"find-links": links} if links else {})},
        places=tuple(path for name in PLACES for path in _local(pip_settings.get(name, ""))),
        proxies=tuple(proxies),
        apt_mirror=apt_mirror or environment.get(MIRROR_VARIABLE, ""),
        bundle=bundle or pip_settings.get("cert", "") or environment.get(BUNDLE_VARIABLE, ""),
    )


def settings(text: str) -> dict[str, str]:
    """Read what `pip config list` prints. As in pip a later source wins: files, `install`, the environment."""
    found: dict[str, dict[str, str]] = {}
    for match in filter(None, map(_LINE.match, text.splitlines())):
        found.setdefault(match["section"], {})[match["name"]] = str(ast.literal_eval(match["value"]))
    return {**found.get("global", {}), **found.get("install", {}), **found.get(":env:", {})}


def problems(given: BuildSite, environment: Mapping[str, str], *, elsewhere: bool) -> list[str]:
    """Return what of a site's inputs would show a secret.

    Args:
        elsewhere: the image is built on another host, where a process's arguments are seen.
    """
    found = []
    if _has_secret(given.apt_mirror):
        found.append("the apt mirror's address holds a password, which would stand in the image's history")
    secret = [name for name in given.proxies if _has_secret(environment.get(name, ""))]
    if elsewhere and secret:
        found.append(f"{secret[0]} holds a password, which the host's processes would see; build on this machine")
    return found


def wanted(requirements: str, torch: str) -> frozenset[tuple[str, str]]:
    """Return (normal name, version) of every package that locked requirements, and torch's, name."""
    return frozenset((_normal(name), version) for name, version in _PIN.findall(f"{torch}\n{requirements}"))


def wheels(names: Iterable[str], packages: frozenset[tuple[str, str]]) -> list[str]:
    """Return those file names that are a wheel of one of the packages."""
    return [name for name in names if _package(name) in packages]


def linked(page: str) -> list[str]:
    """Return the paths that the page of a package in a folder's index leads to."""
    return [url2pathname(urlsplit(link).path) for link in re.findall(r'href="([^"#?]+)', page)]


def index_folders(packages: frozenset[tuple[str, str]]) -> Sequence[str]:
    """Return the folders that an index has for the packages."""
    return sorted({name for name, _ in packages})


def _package(name: str) -> tuple[str, str]:
    parts = PurePath(name).name.removesuffix(".whl").split("-")
    return (_normal(parts[0]), parts[1]) if name.endswith(".whl") and len(parts) > 2 else ("", "")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_local(place: str) -> bool:
    return place.startswith(("/", "file:"))


def _remote(value: str) -> str:
    return " ".join(word for word in value.split() if not _is_local(word))


def _local(value: str) -> list[str]:
    return [url2pathname(urlsplit(word).path) for word in value.split() if _is_local(word)]


def _has_secret(url: str) -> bool:
    return bool(urlsplit(url).password)


def _indented(value: str) -> str:
    return "\n    ".join(value.split())
