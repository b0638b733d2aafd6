"""The releases on a host and what the links say. One POSIX script; no python3 needed there."""

import json
from typing import Any

from pydantic import ValidationError

from devstral_fleet.errors import ProbeError
from devstral_fleet.facts import ReleaseFacts, ReleasesFacts
from devstral_fleet.layout import HostLayout
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.probes import output
from devstral_fleet.shell import Shell

LINKS = ("serving", "current", "previous")
# release.json becomes one line: a line break inside a JSON text is always written \n. A directory without one is
# listed too: it was interrupted while it was written, and must be found to be removed.
SCRIPT = r"""
home=$1
for link in serving current previous; do
    target=$(readlink "$home/$link" 2>/dev/null)
    printf '%s=%s\n' "$link" "${target##*/}"
done
for folder in "$home"/releases/*/; do
    [ -d "$folder" ] || continue
    name=${folder%/}
    printf 'release=%s\t' "${name##*/}"
    [ ! -r "$folder/release.json" ] || tr -d '\n' <"$folder/release.json"
    printf '\n'
done
"""


def command(layout: HostLayout) -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return ["sh", "-s", str(layout.home)]


def read(shell: Shell, layout: HostLayout) -> ReleasesFacts:
    """Look at a host's releases; a host without any is no error.

    Raises:
        ProbeError: the script failed or printed something else.
    """
    return parse(output.run(shell, "releases", command(layout), stdin=SCRIPT))


def parse(text: str) -> ReleasesFacts:
    """Read links and releases, oldest first. A release whose file is missing or broken has no digest."""
    links = output.fields(text, "releases", LINKS)
    listed = [line.removeprefix("release=") for line in text.splitlines() if line.startswith("release=")]
    releases = sorted((_release(*line.partition("\t")[::2]) for line in listed), key=lambda release: release.id)
    return ReleasesFacts(releases=tuple(releases), **{name: links[name] for name in LINKS})


def read_plan(shell: Shell, layout: HostLayout, release_id: str) -> DeploymentPlan:
    """Return the plan that a release on the host was made from, as `rollback` must prove it.

    Raises:
        ProbeError: the release has no file, or one of another schema.
    """
    path = str(layout.release(release_id) / "release.json")
    return parse_plan(output.run(shell, "releases", ["cat", path]))


def parse_plan(text: str) -> DeploymentPlan:
    """Read the plan in a release.json."""
    held = output.document(text, "releases").get("plan")
    try:
        return DeploymentPlan.model_validate_json(json.dumps(held))
    except ValidationError as error:
        raise output.unreadable("releases", f"a plan of another schema: {error.errors()[0]['msg']}", text) from error


def _release(name: str, text: str) -> ReleaseFacts:
    try:
        held: Any = output.document(text, "releases")
        files = str(held.get("plan", {}).get("files", {}).get("directory", ""))
        return ReleaseFacts(id=name, digest=held["digest"], created=held["created"], model=held["model"], files=files)
    except (ProbeError, KeyError, ValidationError):
        return ReleaseFacts(id=name, digest="", created="", model="")
