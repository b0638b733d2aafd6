"""What probes saw. Values only; each is made by one parser in `devstral_fleet.probes`."""

from typing import Literal

from pydantic import Field

from devstral_fleet.model import Value


class HostFacts(Value):
    """The operating system and its resources."""

    hostname: str
    os_id: str
    os_version: str
    kernel: str
    architecture: str
    process_1: str
    """Command name of process 1: 'systemd', or something else."""
    user: str
    python_version: str
    """Version of the host's python3 ('3.11.2'), '' where there is none."""
    has_venv: bool
    """True where `python3 -m venv` can make an environment (Debian: python3-venv)."""
    cpu_count: int
    memory_gib: float
    memory_available_gib: float
    disk_free_gib: float
    """Free space of the file system that holds (or will hold) fleet_home."""
    utc_epoch_s: int
    variables: dict[str, str] = Field(default_factory=dict)
    """What the host's environment sets for the links of its GPUs, such as NCCL_NVLS_ENABLE; {} where nobody asked."""
    simulated: str = ""
    """What a lab host stands for ('h100x8': its GPU probes answer with recordings), '' for a real host."""


class PciDevice(Value):
    """A GPU on the PCI bus, seen without any driver."""

    address: str
    """'0000:05:00.0'."""
    vendor: Literal["nvidia", "amd"]
    kind: str
    """First four digits of its class: '0300' display, '0302' 3D, '0380' other display, '1200' accelerator."""
    id: str
    """'vendor:device'."""
    driver: str
    """Kernel module that has it, '' for none."""


class GpuProcess(Value):
    """A process that holds memory of a GPU."""

    pid: int
    name: str
    kind: str
    """'C' computes, 'G' draws; NVIDIA's words."""
    memory_mib: int
    ours: bool
    """Whether it is of our engine: it runs in our container, or in a directory of fleet_home."""


class GpuFacts(Value):
    """One GPU as its driver shows it. Zeros and '' stand for what the driver does not say."""

    index: int
    address: str
    pci_id: str
    title: str
    """The vendor's name of it."""
    uuid: str
    memory_mib: int
    used_mib: int
    partition: str
    """'' for a whole GPU, else how it is cut: 'MIG', 'CPX'."""
    persistent: bool
    """NVIDIA: the driver stays loaded while nobody uses the GPU."""
    ecc: bool | None
    """Whether memory errors are corrected and counted; None where the GPU cannot."""
    uncorrected_errors: int
    """Memory errors since boot that could not be corrected."""
    repairs: tuple[str, ...]
    """What the driver wants done to the GPU, in its own words: a reset, an exchange."""
    link_width: int
    link_width_maximum: int
    slowdowns: tuple[str, ...]
    """Why its clocks are held down by heat or power supply."""
    processes: tuple[GpuProcess, ...]


NO_NVIDIA_SMI = "there is no nvidia-smi"
"""Detail of a host on which no driver of NVIDIA was ever installed, or none is any more."""


class AcceleratorFacts(Value):
    """A host's GPUs of one vendor, and their driver."""

    driver: str
    """Version; '' where no driver answers, 'kernel' for a kernel's own amdgpu."""
    detail: str
    """The vendor's own words where no driver answers."""
    cuda: str
    """Newest CUDA that the driver serves, '' on AMD."""
    gpus: tuple[GpuFacts, ...]
    toolkit: tuple[str, ...] = ()
    """NVIDIA: by what Docker can hand GPUs to a container here: 'runtime', 'cdi', 'hook'."""
    missing: tuple[str, ...] = ()
    """AMD: what a container is given and the host does not have: device nodes, groups."""


class StartFacts(Value):
    """How the vendor's GPU runtime started, as an engine starts it, and how fast memory came to the GPUs and back."""

    place: Literal["container", "host"]
    devices: int
    code: int
    """The runtime's number of the error; 0 for none, -1 where the runtime itself is not there."""
    error: str
    speeds: tuple[tuple[float, float], ...] = ()
    """Of each GPU, gigabytes (10^9 bytes) a second to it and back; () where nobody asked."""


class AllReduceFacts(Value):
    """A sum over all GPUs of the engine, by its own NCCL or RCCL."""

    bus_gb_s: float
    """Bus bandwidth as nccl-tests count it; 0 where it did not end."""
    right: bool
    """Whether the sum was right."""
    error: str


class DiagnosticsFacts(Value):
    """What a vendor's own diagnostics found on all GPUs of a host."""

    tool: Literal["DCGM", "RVS"]
    there: bool
    """Whether the host has it."""
    detail: str = ""
    """Why it did not run, in its own words; '' where it ran."""
    passed: tuple[str, ...] = ()
    """Its tests that passed."""
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class DriverBuild(Value):
    """What DKMS says of a module for one kernel."""

    module: str
    version: str
    kernel: str
    """'' where the module was added and never built."""
    state: str
    """DKMS's words: 'installed', 'built', 'added', with its warning behind."""


class Package(Value):
    """A package of the operating system."""

    name: str
    version: str
    state: str
    """dpkg's letters, wanted and found: 'ii' installed, 'hi' held, 'iF' half configured. 'ii' for all of RPM's."""


class SystemFacts(Value):
    """What of a host's operating system decides whether its GPUs' driver works, now and after the next reboot."""

    kernel: str
    kernels: tuple[str, ...]
    """Every kernel that has modules, the running one among them."""
    boot_parameters: tuple[str, ...]
    swap_mib: int
    swap_used_mib: int
    numa_balancing: bool | None
    """None where the kernel has no such switch."""
    secure_boot: bool | None
    """None where the firmware is no UEFI, or does not say."""
    modules: tuple[str, ...]
    """Loaded modules of GPU drivers: 'nvidia', 'nouveau', 'amdgpu'."""
    loaded: dict[str, str]
    """Version of each that says one."""
    headers: bool
    """Whether the running kernel's headers are there, which DKMS builds with."""
    builds: tuple[DriverBuild, ...]
    packages: tuple[Package, ...] | None
    """Of drivers, and all that are half installed; None where neither dpkg nor rpm answers."""
    package_lock: str
    """Who keeps apt from working now ('unattended-upgr (pid 812)'), '' for nobody."""
    boot_free_mib: int
    """Free space of the file system that holds /boot."""
    reboot_for: tuple[str, ...]
    """Packages that asked for a reboot."""
    switches: int
    """NVSwitches of the host."""
    nvlink_management: bool
    """Whether those are managed over InfiniBand (HGX B200 and later)."""
    fabric_manager: str
    """systemd's word for the service: 'active', 'inactive', 'failed'; '' without systemd."""
    log: tuple[str, ...] | None
    """The kernel log's lines about GPUs that failed, since boot; None where it cannot be read."""


class PortFacts(Value):
    """Who listens on the planned port. `pid` and `command` are 0 and '' for another user's process."""

    port: int
    listening: bool
    pid: int
    command: str


class ServiceFacts(Value):
    """The engine's service as its manager sees it."""

    manager: Literal["systemd", "supervisor", "none"]
    state: Literal["running", "starting", "stopped", "failed", "absent"]
    """`starting`: the manager waits before or between tries; `failed`: it gave up, or the process just died."""
    pid: int
    """0 when no process runs."""
    detail: str
    """The manager's own words, for evidence."""

    @property
    def begun(self) -> bool:
        """Whether an engine runs, or is about to."""
        return self.state in {"running", "starting"}


class ReleaseFacts(Value):
    """One release directory on the host."""

    id: str
    digest: str
    """Digest of the plan it was made from (`DeploymentPlan.digest`)."""
    created: str
    """UTC, ISO 8601."""
    model: str
    files: str = ""
    """Name of the directory of its model's files; '' where it has no plan that can be read."""


class ReleasesFacts(Value):
    """All releases on the host, oldest first, and what the links say ('' for no link)."""

    releases: tuple[ReleaseFacts, ...]
    serving: str
    current: str
    previous: str


class EngineFacts(Value):
    """What answers on the endpoint."""

    healthy: bool
    health_status: int
    """HTTP status of /health; 0 for no connection."""
    model_id: str
    max_model_len: int
    server_info: dict[str, object]
    """SGLang's /server_info, already free of secrets; {} when it does not answer."""


class DockerFacts(Value):
    """The host's Docker engine, and what it holds of a plan's image and of our container."""

    version: str
    """The engine's version; '' where there is no docker, or none answers."""
    detail: str
    """Docker's own words where none answers; '' where there is no docker at all."""
    image_id: str
    """Id of the image that the plan's reference names here, '' where it is not there."""
    running_id: str
    """Id of the image that our container runs, '' where it does not run."""
    published: tuple[int, ...]
    """Ports of the host that our container's are published on."""
    unresolved: str = ""
    """The registry that the image would be pulled from, where the host cannot find its address."""
    lost_proxy: str = ""
    """The proxy ('proxy.site:3128') by which Docker would pull it, where nothing answers there."""


NO_DOCKER = DockerFacts(version="", detail="", image_id="", running_id="", published=())
"""Where nothing was asked."""


class VersionsFacts(Value):
    """Versions in the engine's environment ('' when absent)."""

    sglang: str
    transformers: str
    torch: str
