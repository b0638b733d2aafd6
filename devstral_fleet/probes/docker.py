"""The Docker engine of a host: does it answer, is the plan's image there, and what does our container run?"""

from devstral_fleet.facts import DockerFacts
from devstral_fleet.layout import HostLayout
from devstral_fleet.probes import output
from devstral_fleet.shell import Shell

SCRIPT = r"""
container=$1 image=$2
if ! version=$(docker version --format '{{.Server.Version}}' 2>&1); then
    printf 'version=\ndetail=%s\nimage_id=\nrunning_id=\npublished=\n' "$(printf '%s' "$version" | tail -n 1)"
    exit 0
fi
ports='{{range .NetworkSettings.Ports}}{{range .}}{{.HostPort}} {{end}}{{end}}'
cat <<END
version=$version
detail=
image_id=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null)
running_id=$(docker container inspect --format '{{if .State.Running}}{{.Image}}{{end}}' "$container" 2>/dev/null)
published=$(docker container inspect --format "$ports" "$container" 2>/dev/null)
END
"""
NAMES = ("version", "detail", "image_id", "running_id", "published")


def command(layout: HostLayout, reference: str) -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return ["sh", "-s", layout.container, reference]


def read(shell: Shell, layout: HostLayout, reference: str) -> DockerFacts:
    """Ask a host's Docker engine. `reference` is the plan's image. An engine that does not answer is no error.

    Raises:
        ProbeError: the script failed or printed something else.
    """
    return parse(output.run(shell, "docker", command(layout, reference), stdin=SCRIPT))


def parse(text: str) -> DockerFacts:
    """Read the script's lines."""
    values = output.fields(text, "docker", NAMES)
    ports = values["published"].split()
    if not all(port.isdigit() for port in ports):
        raise output.unreadable("docker", "ports that are no numbers", text)
    return DockerFacts(
        version=values["version"],
        detail=values["detail"],
        image_id=values["image_id"],
        running_id=values["running_id"],
        published=tuple(sorted({int(port) for port in ports})),
    )
