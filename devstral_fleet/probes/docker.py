"""The Docker engine of a host: does it answer, is the plan's image there, and what does our container run?"""

from devstral_fleet.facts import DockerFacts
from devstral_fleet.layout import HostLayout
from devstral_fleet.probes import output, place
from devstral_fleet.shell import Shell

# An address is asked for where an image has to be pulled: of a proxy's registry only the proxy must know it, and then
# the proxy must be there. A simulated host of the lab pulls nothing.
SCRIPT = r"""
container=$1 image=$2 registry=$3
if ! command -v docker >/dev/null 2>&1; then
    printf 'version=\ndetail=\nimage_id=\nrunning_id=\npublished=\nunresolved=\nproxy=\n'
    exit 0
fi
if ! version=$(docker version --format '{{.Server.Version}}' 2>&1); then
    detail=$(printf '%s' "$version" | tail -n 1)
    printf 'version=\ndetail=%s\nimage_id=\nrunning_id=\npublished=\nunresolved=\nproxy=\n' "$detail"
    exit 0
fi
ports='{{range .NetworkSettings.Ports}}{{range .}}{{.HostPort}} {{end}}{{end}}'
image_id=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null)
unresolved= lost=
if [ -z "$image_id$simulated" ] && [ -n "$registry" ]; then
    proxy=$(docker info --format '{{or .HTTPSProxy .HTTPProxy ""}}' 2>/dev/null)
    if [ -z "$proxy" ]; then
        timeout 10 getent ahosts "$registry" >/dev/null 2>&1 || unresolved=$registry
    else
        address=${proxy#*://} address=${address##*@} address=${address%%/*}
        case $address in *:*) ;; *) address=$address:80 ;; esac
        timeout 10 python3 -c 'import socket, sys; socket.create_connection(sys.argv[1].rsplit(":", 1), 8)' "$address" \
            2>/dev/null || lost=$address
    fi
fi
cat <<END
version=$version
detail=
image_id=$image_id
running_id=$(docker container inspect --format '{{if .State.Running}}{{.Image}}{{end}}' "$container" 2>/dev/null)
published=$(docker container inspect --format "$ports" "$container" 2>/dev/null)
unresolved=$unresolved
proxy=$lost
END
"""
NAMES = ("version", "detail", "image_id", "running_id", "published", "unresolved", "proxy")


def command(layout: HostLayout, reference: str, registry: str = "") -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return ["sh", "-s", layout.container, reference, registry]


def read(shell: Shell, layout: HostLayout, reference: str, registry: str = "") -> DockerFacts:
    """Ask a host's Docker engine. An engine that does not answer is no error.

    Args:
        reference: the plan's image.
        registry: the machine that has to be found where the image is not there, '' for none.

    Raises:
        ProbeError: the script failed or printed something else.
    """
    return parse(output.run(shell, "docker", command(layout, reference, registry), stdin=place.SCRIPT + SCRIPT))


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
        unresolved=values["unresolved"],
        lost_proxy=values["proxy"],
    )
