"""Which driver a GPU host gets, what stays, what is refused, and what waits for a reboot."""

import re
from typing import Any

import pytest

from devstral_fleet import drivers, rolevars_provision
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.facts import DriverBuild
from devstral_fleet.provision import ProvisionPlan
from tests.support.provisions import BARE, KEYS, READY, SYSTEM, provision_plan, seen

DRIVER = "ii nvidia-kernel-open-dkms 580.95.05-1"
AMD: dict[str, Any] = {"accelerator": "amd", "hardware": "mi300x"}


def plan(*words: str, **keys: Any) -> ProvisionPlan:
    given = {"packages": "auto", "has_docker": True, "repository_keys": KEYS, "found": seen(), **keys}
    return provision_plan(*words, **given)


def own(found: ProvisionPlan) -> list[str]:
    """Packages of a plan that are a driver's or its helpers'."""
    return [name for name in found.packages if re.search("nvidia|amdgpu|cuda|headers|kernel|versionlock", name)]


def test_a_bare_host_gets_the_catalogs_driver_in_one_version_and_the_toolkit() -> None:
    found = plan()
    assert own(found) == ["linux-headers-6.1.0", "nvidia-open=580.178.04*", "nvidia-container-toolkit"]
    assert [each.name for each in found.repositories] == ["nvidia-driver", "nvidia-container-toolkit"]
    driver, toolkit = found.repositories
    assert "URIs: https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64\nSuites: /\n" in driver.text
    assert "Components" not in driver.text
    assert "/stable/deb/amd64\n" in toolkit.text
    assert found.driver
    assert drivers.pin_text(found.driver).endswith("Pin: version 580.178.04*\nPin-Priority: 1000\n")
    assert found.driver.services == ("nvidia-persistenced",)


def test_an_arm_server_has_other_words() -> None:
    facts = {"system": "ubuntu", "version": "24.04"}
    (text, _) = (each.text for each in plan(**facts, architecture="aarch64").repositories)
    assert "ubuntu2404/sbsa\n" in text


def test_a_driver_that_is_there_stays_by_whatever_way_it_came() -> None:
    assert own(plan(found=seen(READY))) == []
    assert own(plan(found=seen(BARE, DRIVER))) == ["nvidia-container-toolkit"]
    broken = BARE.model_copy(update={"detail": "NVIDIA-SMI has failed because it couldn't communicate with the driver"})
    assert own(plan(found=seen(broken))) == ["nvidia-container-toolkit"]
    interrupted = seen(broken, "iU nvidia-driver-cuda 580.178.04-1")
    assert "nvidia-open=580.178.04*" in own(plan(found=interrupted))
    kept = plan(found=seen(READY)).driver
    assert kept
    assert (kept.version, kept.repositories, drivers.pin_text(kept)) == ("", (), "")


def test_with_nvswitch_fabric_manager_comes_in_the_very_version_of_the_driver() -> None:
    there = plan(found=seen(READY, DRIVER, switches=4))
    assert own(there) == ["nvidia-fabricmanager=580.95.05*", "libnvidia-nscq=580.95.05*"]
    assert [each.name for each in there.repositories] == ["nvidia-driver"]
    assert own(plan(found=seen(BARE, DRIVER, switches=4)))[0] == "nvidia-fabricmanager=580.95.05*"
    assert "nvidia-fabricmanager=580.178.04*" in own(plan(found=seen(switches=4)))
    whole = plan(found=seen(READY, DRIVER, "hi nvidia-fabricmanager 580.95.05-1", switches=4))
    assert own(whole) == []
    assert whole.driver
    assert whole.driver.services == ("nvidia-persistenced", "nvidia-fabricmanager")


def test_nvswitches_that_are_managed_over_infiniband_get_their_manager() -> None:
    names = own(plan(found=seen(switches=2, nvlink_management=True)))
    assert names[2:4] == ["nvidia-fabricmanager=580.178.04*", "libnvidia-nscq=580.178.04*"]
    assert {"nvlsm", "infiniband-diags"} <= set(plan(found=seen(switches=2, nvlink_management=True)).packages)
    assert "nvlsm" not in plan(found=seen(switches=2)).packages


def test_the_vendors_diagnostics_come_where_the_site_asks_for_them() -> None:
    assert not any("datacenter" in name for name in plan().packages)
    found = plan(found=seen(READY), diagnostics=True)
    assert found.packages[-1] == "datacenter-gpu-manager-4-cuda13"
    assert [each.name for each in found.repositories] == ["nvidia-driver"]
    assert found.driver
    assert found.driver.services == ("nvidia-persistenced", "nvidia-dcgm")
    old = READY.model_copy(update={"cuda": "12.8"})
    assert plan(found=seen(old), diagnostics=True).packages[-1] == "datacenter-gpu-manager-4-cuda12"
    assert plan(diagnostics=True).packages[-1] == "datacenter-gpu-manager-4-cuda13"
    amd = plan("ubuntu", "24.04", diagnostics=True, **AMD)
    assert amd.packages[-2:] == ("amdgpu-dkms", "rocm-validation-suite")
    assert "URIs: https://repo.radeon.com/rocm/apt/7.2.3\nSuites: noble\n" in amd.repositories[-1].text


def test_amds_container_toolkit_comes_where_the_site_asks_for_it_and_never_under_an_engine() -> None:
    found = plan("ubuntu", "24.04", amd_container_toolkit=True, **AMD)
    assert found.packages[-1] == "amd-container-toolkit"
    assert [each.name for each in found.repositories] == ["amd-driver", "amd-container-toolkit"]
    variables = rolevars_provision.provision(found, python="python3", lock_wait_s=1)
    assert variables["container_toolkit"]["configure"] == ["amd-ctk", "runtime", "configure"]
    for keys in ({"found": seen(serving=True)}, {"runtime": "native"}, {"amd_container_toolkit": False}):
        kept = plan("ubuntu", "24.04", **{"amd_container_toolkit": True, **AMD, **keys})
        assert "amd-container-toolkit" not in kept.packages
        assert kept.driver
        assert kept.driver.runtime == ""


def test_an_amd_hosts_next_boot_gets_all_its_words_where_one_is_missing() -> None:
    for given, wanted in (
        ((), ("iommu=pt", "pci=realloc=off")),
        (("ro", "iommu=pt"), ("iommu=pt", "pci=realloc=off")),
        (("ro", "iommu=pt", "pci=realloc=off"), ()),
    ):
        found = plan("ubuntu", "24.04", found=seen(boot_parameters=given), **AMD).driver
        assert found
        assert found.boot_parameters == wanted
        assert ("iommu=pt" in drivers.said(found)) == bool(wanted)
    nvidia = plan().driver
    assert nvidia
    assert nvidia.boot_parameters == ()


def test_the_distributions_driver_needs_no_key() -> None:
    found = plan(packages="distribution", repository_keys={"nvidia-container-toolkit": "/k"})
    assert own(found)[:2] == ["linux-headers-6.1.0", "nvidia-open-kernel-dkms"]
    assert [each.name for each in found.repositories] == ["nvidia-container-toolkit"]


def test_amds_driver_comes_from_the_repository_of_its_version() -> None:
    found = plan("ubuntu", "24.04", **AMD)
    assert own(found) == ["linux-headers-6.1.0", "amdgpu-dkms"]
    (repository,) = found.repositories
    assert "amdgpu/30.30.3/ubuntu\nSuites: noble\nComponents: main\n" in repository.text
    (rpm, _) = plan("rocky", "9.6", **AMD).repositories
    assert "baseurl=https://repo.radeon.com/amdgpu/30.30.3/el/9.6/main/x86_64\n" in rpm.text


def test_a_red_hat_gets_a_stream_where_it_has_modules() -> None:
    nine, ten = plan("rhel", "9.6"), plan("rhel", "10.1")
    assert [each.stream for each in nine.repositories] == ["nvidia-driver:580-open", "", ""]
    assert [each.stream for each in ten.repositories] == ["", "", ""]
    assert [each.name for each in ten.repositories] == ["nvidia-driver", "epel-10", "nvidia-container-toolkit"]
    epel = nine.repositories[1]
    assert "baseurl=https://dl.fedoraproject.org/pub/epel/9/Everything/$basearch\n" in epel.text
    assert epel.key_address == "https://dl.fedoraproject.org/pub/epel/RPM-GPG-KEY-EPEL-9"
    assert epel.fingerprint[-8:] == "3228467C"
    assert "epel-9" not in [each.name for each in plan("rhel", "9.6", found=seen(READY)).repositories]
    assert own(nine)[0] == "python3-dnf-plugin-versionlock"


@pytest.mark.parametrize(
    ("words", "keys", "said", "fix"),
    [
        (
            (),
            {"repository_keys": {}},
            "the packages of nvidia-driver and nvidia-container-toolkit",
            "{nvidia-driver: FILE, nvidia-container-toolkit: FILE}",
        ),
        ((), {"found": seen(bus=())}, "there is no NVIDIA GPU on the PCI bus", "correct fleet_accelerator"),
        ((), {"found": seen(secure_boot=True)}, "Secure Boot is on", "signed driver by hand"),
        (("rhel", "9.6"), {"packages": "distribution"}, "no NVIDIA driver of its own", "leave fleet_packages out"),
        (
            ("ubuntu", "24.04"),
            {"packages": "distribution", "found": seen(switches=4)},
            "with NVSwitches, Fabric Manager must be the",
            "leave fleet_packages out",
        ),
        ((), {"packages": "distribution", **AMD}, "no AMD driver of its own", "leave fleet_packages out"),
        (("debian", "13"), AMD, "AMD has no driver for debian-13", "by hand"),
    ],
)
def test_what_is_refused(words: tuple[str, ...], keys: dict[str, Any], said: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        plan(*words, **keys)
    assert said in refused.value.message
    assert fix in refused.value.fix


def test_secure_boot_keeps_no_driver_out_that_is_there() -> None:
    assert own(plan(found=seen(READY, secure_boot=True))) == []


@pytest.mark.parametrize(
    ("gpus", "serving", "runtime", "wanted"),
    [
        (BARE, False, "container", True),
        (READY, False, "container", True),
        (READY, True, "container", False),
        (BARE, False, "native", False),
    ],
)
def test_docker_is_not_restarted_under_an_engine(gpus: Any, serving: bool, runtime: str, wanted: bool) -> None:
    found = plan(found=seen(gpus, DRIVER, serving=serving), runtime=runtime)
    variables = rolevars_provision.provision(found, python="python3", lock_wait_s=1)
    assert variables["container_toolkit"]["runtime"] == ("nvidia" if wanted else "")


@pytest.mark.parametrize(
    ("toolkit", "serving", "package"),
    [((), False, True), (("cdi",), False, True), (("hook",), False, False), (("cdi",), True, False)],
)
def test_the_toolkit_comes_where_docker_could_not_be_taught(
    toolkit: tuple[str, ...], serving: bool, package: bool
) -> None:
    gpus = READY.model_copy(update={"toolkit": toolkit})
    assert ("nvidia-container-toolkit" in plan(found=seen(gpus, serving=serving)).packages) == package


def test_what_is_held() -> None:
    variables = rolevars_provision.provision(plan(), python="python3", lock_wait_s=1)
    pattern = re.compile(str(variables["package_holds"]["pattern"]))
    held = [
        "nvidia-open",
        "nvidia-kernel-open-dkms",
        "nvidia-dkms-580-open",
        "nvidia-fabricmanager",
        "cuda-drivers",
    ]
    assert [name for name in held if not pattern.fullmatch(name)] == []
    assert not pattern.fullmatch("nvidia-container-toolkit")
    assert rolevars_provision.provision(provision_plan(), python="python3", lock_wait_s=1)["package_holds"] == {
        "family": "debian",
        "pattern": "",
    }


BUILD = DriverBuild(module="amdgpu", version="6.16.13", kernel=SYSTEM.kernel, state="installed")
AMDGPU = "ii amdgpu-dkms 1:6.16.13.30300300-2278356.22.04"


@pytest.mark.parametrize(
    ("vendor", "package", "fields", "reason"),
    [
        ("nvidia", DRIVER, {"modules": ("nouveau",)}, "nouveau has the cards"),
        ("nvidia", DRIVER, {"modules": ("nvidia",), "loaded": {"nvidia": "580.95.05"}}, ""),
        ("nvidia", DRIVER, {"loaded": {"nvidia": "570.1"}}, "driver 570.1 runs and 580.95.05 is installed"),
        ("nvidia", DRIVER, {}, ""),
        ("nvidia", "rc nvidia-open 580.95.05-1", {"modules": ("nouveau",)}, ""),
        ("amd", AMDGPU, {"modules": ("amdgpu",), "builds": (BUILD,)}, "the kernel's own amdgpu has the cards"),
        ("amd", AMDGPU, {"modules": ("amdgpu",)}, ""),
        ("amd", AMDGPU, {"modules": ("amdgpu",), "loaded": {"amdgpu": "6.16.13"}, "builds": (BUILD,)}, ""),
    ],
)
def test_what_waits_for_a_reboot(vendor: str, package: str, fields: dict[str, Any], reason: str) -> None:
    system = seen(BARE, package, **fields).system
    assert "".join(drivers.waits(vendor, system)) == reason
