"""A host's reboot: where packages wait for one, never under an engine unless it is asked for, proven by a new boot."""

from devstral_fleet import drivers, lock, rolevars_provision
from devstral_fleet.errors import FleetError, PlaybookError, UnreachableError
from devstral_fleet.lock import Hold
from devstral_fleet.probes import output
from devstral_fleet.probes import system as system_probe
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.running import utc_now

PLAYBOOK = "reboot.yml"
BOOT_ID = "/proc/sys/kernel/random/boot_id"


def where_needed(converging: Converging, held: Hold, *, yes: bool = False) -> bool:
    """Reboot the host where a package or a driver waits for it, and wait until it is back; tell whether it was done.

    Under an engine that runs, and on the controller itself, it is only said.

    Args:
        yes: under an engine too.

    Raises:
        UnreachableError: the host did not come back in its time.
    """
    host = converging.host
    reason = ", ".join(_reasons(host))
    if not reason:
        return False
    if host.target.intent.connection.kind == "local":
        host.record.console.host(host.name, f"waits for a reboot, for {reason}: it is this machine, so that is yours")
        return False
    if not yes and host.service().begun:
        verb = f".venv/bin/invoke provision --host {host.name} --yes"
        host.record.console.host(host.name, f"waits for a reboot, for {reason}; an engine runs there: {verb}")
        return False
    host.record.console.host(host.name, f"reboots, for {reason}")
    before, began = _boot(host), utc_now()
    deadline_s = host.target.intent.reboot_deadline_s
    with host.record.phase("reboot"), lock.absence(host.shell, host.layout, held, deadline_s):
        try:
            converging.play(PLAYBOOK, rolevars_provision.reboot(deadline_s=deadline_s, reason=reason))
        except (PlaybookError, UnreachableError) as error:
            raise _gone(host, began, error) from error
        after = _boot(host)
    host.record.console.host(host.name, f"is back: boot {after}, before it {before}")
    return True


def _reasons(host: Host) -> tuple[str, ...]:
    """What waits for a reboot: packages that say so, and a driver that another one keeps from the GPUs."""
    system, accelerator = system_probe.read(host.shell), host.target.intent.accelerator
    return (*system.reboot_for, *(() if accelerator == "cpu" else drivers.waits(accelerator, system)))


def _boot(host: Host) -> str:
    """Name of the running boot, the kernel's own."""
    return output.run(host.shell, "boot", ["cat", BOOT_ID]).strip()


def _gone(host: Host, began: str, error: FleetError) -> UnreachableError:
    """Say what was last seen of a host that did not come back."""
    try:
        now = f"it answers, in boot {_boot(host)}"
    except FleetError as silent:
        now = silent.message
    return UnreachableError(
        f"{host.name}: not back {host.target.intent.reboot_deadline_s} s after its reboot; last seen {began}, "
        f"when it was told to",
        fix="look at its console; where it only takes longer: raise fleet_reboot_deadline_s, and run this again",
        evidence=(f"now: {now}", error.message),
        host=host.name,
    )
