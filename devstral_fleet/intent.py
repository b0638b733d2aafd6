"""What the inventory says a host should be: the `fleet_*` keys, typed. Read by `inventory`, resolved by `plan`."""

from typing import Literal

from pydantic import Field, NonNegativeInt

from devstral_fleet.model import Value

Accelerator = Literal["nvidia", "amd", "cpu"]
Runtime = Literal["container", "native"]
KvCacheDtype = Literal["auto", "fp8_e4m3", "fp8_e5m2", "bf16"]


class Connection(Value):
    """How a host is reached; from Ansible's own connection variables."""

    kind: Literal["local", "ssh"]
    address: str = "127.0.0.1"
    port: int = 22
    user: str | None = None
    private_key_file: str | None = None
    known_hosts_file: str | None = None
    become: bool = False


class HostIntent(Value):
    """One host of the inventory. Every field but `name` and `connection` is the key `fleet_<field>`."""

    name: str
    connection: Connection
    accelerator: Accelerator
    hardware: str
    """Catalog name of the GPU ('h100') or 'cpu'."""
    gpu_count: int = Field(default=1, ge=0)
    gpus: tuple[NonNegativeInt, ...] | None = Field(default=None, min_length=1)
    """Indices of the GPUs that the engine may have, as the vendor's tool counts them; all of them where not said."""
    nodes: tuple[str, ...] = ()
    """Names of the hosts whose GPUs serve one model together, in the order of their ranks; the first one answers."""
    nodes_address: str | None = None
    """ADDRESS:PORT of the first of them, where the others find it, on a network of their own."""
    model: str = "devstral-small-2"
    runtime: Runtime = "container"
    home: str = "/opt/devstral-fleet"
    """Absolute; a leading ~ has been expanded (local connections only)."""
    listen: str = "127.0.0.1"
    port: int = Field(default=30000, ge=1, le=65535)
    tensor_parallel: int | None = Field(default=None, ge=1)
    context_length: int | None = Field(default=None, ge=1)
    mem_fraction_static: float | None = Field(default=None, gt=0, lt=1)
    max_total_tokens: int | None = Field(default=None, ge=1)
    kv_cache_dtype: KvCacheDtype = "auto"
    profiles: tuple[str, ...] | None = None
    """Names of the catalog's profiles, settings of the engine; where nothing is said, the catalog's defaults."""
    hub: str | None = None
    """Address of the hub, or mirror, that the model's files come from."""
    models: str | None = None
    """Path on the controller of a folder of models: the host copies what it lacks from there, and no hub is asked."""
    fetch: bool = True
    """False: nothing is ever downloaded there; the model's files are brought by the site."""
    peer_address: str | None = None
    """Where other hosts reach this one's sshd on their own network (`:port` where it is not 22).

    Hosts that have one copy a model's files from each other; one of them asks the hub.
    """
    load_format: Literal["auto", "dummy"] = "auto"
    sglang_version: str | None = None
    """Another SGLang version than the catalog's for this accelerator and runtime."""
    image: str | None = None
    """A site's own image for the container runtime, instead of the catalog's.

    Without a registry or a digest in its name it comes from the controller's Docker engine.
    """
    image_build: bool = False
    """Whether the container runtime runs an image of ours, built from the catalog's, in place of the catalog's."""
    image_base: str | None = None
    """What our image is built from, instead of the catalog's."""
    ca_bundle: str | None = None
    """Path on the controller of certificates (PEM) that our image trusts, in its build and when it runs."""
    apt_mirror: str | None = None
    """Address of the Debian or Ubuntu mirror that the build of our image asks."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Extra environment of engine and benchmark; never a secret."""
    engine_requirements: str | None = None
    """Path on the controller of a site's own locked requirements of the engine: native, or in our image for a CPU."""
    wheels: str | None = None
    """Path on the controller of a folder of wheels: the native engine is installed from it, and no index is asked."""
    host_torch: str | None = None
    """Version of the torch that `python` has on the host; the native engine sees that interpreter's packages."""
    python: str = "python3"
    """Interpreter on the host that makes the native engine environment."""
    drain_deadline_s: int | None = Field(default=None, ge=1)
    """Seconds that a stopping engine may take to finish its requests."""
    health_deadline_s: int | None = Field(default=None, ge=1)
    packages: Literal["auto", "distribution", "vendor"] = "auto"
    """Whose Docker engine and NVIDIA driver a host gets; auto: its own Docker where it has one, the vendor's driver."""
    repositories: dict[str, str] = Field(default_factory=dict)
    """Addresses of a site's mirrors of vendors' package repositories, by name in the catalog."""
    repository_keys: dict[str, str] = Field(default_factory=dict)
    """Paths on the controller of the keys (OpenPGP) that a site has checked itself, by the repository's name."""
    diagnostics: bool = False
    """Whether provision brings the vendor's diagnostics, which `doctor --acceptance full` runs."""
    amd_container_toolkit: bool = False
    """Whether provision brings AMD's container toolkit; our engine needs none."""
    reboot_deadline_s: int = Field(default=900, ge=30)
    """Seconds that a host may take to come back from a reboot; one with eight GPUs tests its memory for minutes."""
    provision: bool = True
    """False: deploy and doctor only look; nothing of the operating system or a card is changed."""
