"""A machine with a kernel of its own, provisioned over SSH: rebooted by us, hanging at boot, cut from its power."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from devstral_fleet import rolevars, rolevars_provision
from devstral_fleet.lab import image
from devstral_fleet.layout import HostLayout
from devstral_fleet.playbook import PlaybookCommand, run
from tests.support.fleet import Site, succeeded, until
from tests.support.package_site import KEYRING, Signer, installed, publish, served, stand_in
from tests.support.provisions import KEYS, provision_plan, seen
from tests.support.virtual_machine import MIRROR, VirtualMachine, virtual_machine

HOME = Path("/opt/devstral-fleet")
WAITS_FOR_A_REBOOT = (
    "echo '*** System restart required ***' >/run/reboot-required\necho pciutils >>/run/reboot-required.pkgs"
)
"""As Ubuntu's and Debian's kernel packages do it, by update-notifier-common and unattended-upgrades."""
SLOW = "touch /var/tmp/begun\n[ -e /var/tmp/quick ] || sleep 600"
REBOOT_S = 300
"""An emulated machine boots in 40 s, and in minutes where the tests' machine has other work."""
HANG = """[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sleep infinity
[Install]
WantedBy=sysinit.target
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualMachine]:
    """A machine without two of the packages that every host gets; its apt asks our repository alone."""
    folder = tmp_path_factory.mktemp("machine")
    signer = Signer.make(folder / "signer")
    packages = [stand_in(folder, "logrotate", "3.21.0-1", postinst=SLOW)]
    packages.append(stand_in(folder, "pciutils", "1:3.9.0-4", postinst=WAITS_FOR_A_REBOOT))
    publish(folder / "repository", image.SUITE, packages, signer)
    with (
        served(folder / "repository", "127.0.0.1") as url,
        virtual_machine(folder / "vm", int(url.split(":")[-1])) as here,
    ):
        line = f"deb [signed-by={KEYRING}] http://{MIRROR} {image.SUITE} main"
        here.root("mkdir", "-p", str(Path(KEYRING).parent))
        here.root("sh", "-c", f"printf %s '{signer.public.decode()}' >{KEYRING}")
        here.root("sh", "-c", f"echo '{line}' >/etc/apt/sources.list")
        yield here
    signer.end()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, machine: VirtualMachine) -> Site:
    folder = tmp_path_factory.mktemp("site")
    here = Site(folder, HOME, 30000, host=machine.name, connection=machine.connection())
    return here.set(reboot_deadline_s=REBOOT_S)


@pytest.mark.soak
def test_a_power_loss_in_an_installation_is_mended_by_a_second_run(site: Site, machine: VirtualMachine) -> None:
    running = site.start("provision")
    until(lambda: machine.ssh("test", "-e", "/var/tmp/begun").returncode == 0, 120, "the installation has begun")
    machine.cut_power()
    cut_off = running.end()
    assert cut_off.exit_code == 3, cut_off.text

    machine.start()
    assert installed(machine, "logrotate") != "installed"
    machine.root("touch", "/var/tmp/quick")
    machine.root("systemd-run", f"--unit={HostLayout(PurePosixPath(HOME)).unit}", "sleep", "infinity")
    before = machine.boot_id()
    told = succeeded(site.invoke("provision", "--lock-wait", "60"))

    assert [installed(machine, name) for name in ("logrotate", "pciutils")] == ["installed", "installed"]
    assert "waits for a reboot, for pciutils; an engine runs there" in told.text
    assert site.report()["hosts"][0]["outcome"] == "provisioned"
    assert machine.boot_id() == before
    assert succeeded(site.invoke("lock.status", "--json")).document == {machine.name: None}


@pytest.mark.soak
def test_a_host_with_an_engine_is_rebooted_where_it_is_asked_to(site: Site, machine: VirtualMachine) -> None:
    before = machine.boot_id()
    ended = succeeded(site.invoke("provision", "--yes"))
    assert "reboots, for pciutils" in ended.text
    assert machine.boot_id() != before


@pytest.mark.soak
def test_a_machine_that_was_provisioned_may_serve_and_a_second_run_changes_nothing(
    site: Site, machine: VirtualMachine
) -> None:
    looked = succeeded(site.invoke("doctor", "--json"))
    (found,) = looked.document.values()
    assert [each for each in found if each["state"] == "fail"] == []
    assert {"python", "disk", "memory", "port"} <= {each["check"] for each in found if each["state"] == "ok"}

    before = machine.boot_id()
    succeeded(site.invoke("provision"))
    assert site.report()["hosts"][0]["outcome"] == "unchanged"
    assert machine.boot_id() == before


@pytest.mark.soak
def test_grub_gives_the_next_boot_what_an_amd_hosts_kernel_is_started_with(
    site: Site, machine: VirtualMachine, tmp_path: Path
) -> None:
    """The machine has no such card, so the role is played alone; its GRUB is real, and starts nothing here."""
    amd = {"accelerator": "amd", "hardware": "mi300x", "packages": "auto"}
    plan = provision_plan(has_docker=True, found=seen(), repository_keys=KEYS, **amd)
    variables = {machine.name: rolevars_provision.provision(plan, python="python3", lock_wait_s=1)}
    for name, text in rolevars.inventory_files(variables).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    inventories = (site.inventory, tmp_path / "hosts.json")
    command = PlaybookCommand("provision.yml", inventories, (machine.name,), extra=("--tags", "boot_parameters"))
    machine.root("mkdir", "--parents", "/boot/grub")

    first, again = (run(command, log=tmp_path / log, on_event=lambda _: None) for log in ("first", "again"))

    for outcome in (first, again):
        outcome.raise_for_failure()
    assert (first.changed, again.changed) == (3, 0)
    lines = machine.root("cat", "/boot/grub/grub.cfg").splitlines()
    starts = [line for line in lines if line.strip().startswith("linux")]
    assert starts
    assert all(line.rstrip().endswith("iommu=pt pci=realloc=off") for line in starts if "recovery" not in line)


@pytest.mark.soak
def test_a_machine_that_hangs_at_boot_is_named_with_what_was_last_seen(site: Site, machine: VirtualMachine) -> None:
    machine.root("sh", "-c", WAITS_FOR_A_REBOOT)
    machine.root("sh", "-c", f"echo '{HANG}' >/etc/systemd/system/hang.service")
    machine.root("systemctl", "enable", "hang.service")

    ended = site.set(reboot_deadline_s=30).invoke("provision")

    assert ended.exit_code == 3, ended.text
    assert "not back 30 s after its reboot; last seen 20" in ended.stderr
    assert "fleet_reboot_deadline_s" in ended.stderr
    machine.cut_power()
    machine.start("systemd.mask=hang.service")
    machine.root("systemctl", "disable", "hang.service")
    succeeded(site.set(reboot_deadline_s=REBOOT_S).invoke("provision", "--lock-wait", "240"))
    assert site.report()["hosts"][0]["outcome"] == "unchanged"
