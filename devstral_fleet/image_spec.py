"""An image of ours as a value (pure): what it is built from, what it is called, every file of its build but the site's.

Equal content has an equal name, so one that is there is never built again.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from devstral_fleet import container
from devstral_fleet.catalog.schema import Image
from devstral_fleet.image_pins import digest_of
from devstral_fleet.intent import HostIntent

REPOSITORY = "devstral-fleet"
DIGEST_DIGITS = 12
HEALTHCHECK = "/opt/devstral-fleet/healthcheck.sh"
REQUIREMENTS = "engine/requirements.lock"
"""Where the build of a CPU image has what it installs."""
SHIMS = "engine/shims/"
ROLE = "playbooks/roles/engine_environment/files"
RECIPES: Mapping[str, Mapping[str, str]] = {
    "cuda": {"Dockerfile": "docker/cuda/Dockerfile", "shared": "docker/shared"},
    "rocm": {"Dockerfile": "docker/rocm/Dockerfile", "shared": "docker/shared"},
    "cpu": {
        "Dockerfile": "docker/cpu/Dockerfile",
        "shared": "docker/shared",
        "engine/install_torch.py": f"{ROLE}/install_torch.py",
        "engine/finish_environment.py": f"{ROLE}/finish_environment.py",
        "engine/shims": f"{ROLE}/shims",
    },
}
"""Path in the build -> file or folder of the checkout, for each kind of image."""
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class ImageSpec:
    """One image of ours.

    Attributes:
        image: the catalog's entry. base: what it is built from, with its digest where that is pinned.
        torch: requirement that is installed first, '' for none. torch_index: asked where pip's own settings offer none.
        health_start_s: seconds for which an engine that loads is not called unhealthy.
        files: the files of its recipe by their path in the build. trust: the site's own certificates, PEM.
    """

    image: Image
    sglang_version: str
    transformers_minimum: str
    base: str
    torch: str
    torch_index: str
    health_start_s: int
    files: Mapping[str, bytes]
    trust: bytes = b""

    @property
    def reference(self) -> str:
        """Name and tag; no registry has it by this name."""
        return f"{REPOSITORY}/{self.image.name}:{self.sglang_version}-{self.digest}"

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that stand for all that the image is made from."""
        sha = hashlib.sha256(json.dumps(self.arguments(), sort_keys=True).encode())
        for path, content in sorted(self.context().items()):
            sha.update(f"\0{path}\0{len(content)}\0".encode() + content)
        return sha.hexdigest()[:DIGEST_DIGITS]

    @property
    def is_pinned(self) -> bool:
        """Whether a digest says which base it is."""
        return bool(digest_of(self.base))

    def arguments(self) -> dict[str, str]:
        """Return the build arguments; APT_MIRROR is the site's (`image_site`)."""
        shared = {
            "BASE_IMAGE": self.base,
            "ENGINE_USER": str(container.IMAGE_USER),
            "ENGINE_HOME": container.CACHE,
            "TRANSFORMERS_MINIMUM": self.transformers_minimum,
        }
        torch = {"TORCH": self.torch, "TORCH_INDEX": self.torch_index}
        return {**shared, **torch} if self.image.recipe == "cpu" else shared

    def labels(self) -> dict[str, str]:
        """Return the image's labels: OCI's, and what it stands for in plans."""
        base, digest = self.base.partition("@")[0], digest_of(self.base)
        return {
            "org.opencontainers.image.title": f"Devstral Fleet engine: {self.image.name}",
            "org.opencontainers.image.version": self.sglang_version,
            "org.opencontainers.image.base.name": base,
            **({"org.opencontainers.image.base.digest": digest} if digest else {}),
            "devstral-fleet.image": self.image.name,
            "devstral-fleet.plan.reference": self.reference,
            "devstral-fleet.sglang": self.sglang_version,
            "devstral-fleet.transformers": f">={self.transformers_minimum}",
            **({"devstral-fleet.torch": self.torch} if self.torch else {}),
        }

    def context(self) -> dict[str, bytes]:
        """Return every file of the build by its path, the site's left out."""
        used = {path: content for path, content in self.files.items() if self.torch or not path.startswith(SHIMS)}
        return {
            **used,
            "Dockerfile": used["Dockerfile"].rstrip() + f"\n{self._healthcheck()}\n".encode(),
            "constraints.txt": f"transformers>={self.transformers_minimum}\n".encode(),
            **{
                f"trust/{number:03}.crt": certificate + b"\n"
                for number, certificate in enumerate(_CERTIFICATE.findall(self.trust), start=1)
            },
        }

    def _healthcheck(self) -> str:
        """Return the Dockerfile's last line: its times cannot come by an argument."""
        words = ["sh", HEALTHCHECK, str(container.HEALTH_REPLY_S), str(HostIntent.model_fields["port"].default)]
        times = {
            "start-period": self.health_start_s,
            "interval": container.HEALTH_INTERVAL_S,
            "timeout": container.HEALTH_REPLY_S,
        }
        options = [f"--{name}={seconds}s" for name, seconds in times.items()]
        return " ".join(("HEALTHCHECK", *options, f"--retries={container.HEALTH_RETRIES}", "CMD", json.dumps(words)))


def folders(spec: ImageSpec) -> tuple[str, ...]:
    """Return the folders that the Dockerfile copies, which must be there though nothing is in them."""
    return ("site", "trust", *sorted({str(PurePosixPath(path).parent) for path in spec.context()} - {"."}))
