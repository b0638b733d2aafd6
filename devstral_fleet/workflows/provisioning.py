"""What `provision` and `deploy` share: a host's provision plan, the playbook, and the look at what came of it."""

from collections.abc import Iterable

from devstral_fleet import catalog as catalogs
from devstral_fleet import provision, rolevars
from devstral_fleet.errors import ConfigurationError, VerificationError
from devstral_fleet.findings import Finding
from devstral_fleet.playbook import PlaybookOutcome
from devstral_fleet.provision import ProvisionPlan
from devstral_fleet.workflows import looking
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host import Host

PLAYBOOK = "provision.yml"
LOCK_WAIT_S = 300
"""Unattended upgrades take minutes."""


def helps(host: Host, seen: Iterable[Finding]) -> bool:
    """Tell whether a host is bare, and may be provisioned.

    One whose Docker is installed and does not answer is not: somebody may have stopped it for a reason.
    """
    silent = any(finding.check == "docker" and finding.state == "fail" for finding in seen)
    allowed = provision.possible(host.target.intent, looking.seen_facts(host), catalogs.load())
    return silent and allowed and not host.docker().detail


def plan(host: Host) -> ProvisionPlan:
    """Look at a host's system and decide what it gets.

    Raises:
        ConfigurationError: the inventory says hands off, the user there is not root, or the system is not known.
    """
    intent = host.target.intent
    if not intent.provision:
        raise ConfigurationError(
            f"{host.name}: fleet_provision is false, so nothing is installed there",
            fix=f"leave it out for {host.name}, or install what .venv/bin/invoke doctor --host {host.name} names",
            host=host.name,
        )
    facts = looking.seen_facts(host)
    if not provision.is_root(intent, facts):
        raise ConfigurationError(
            f"{host.name}: packages are installed by root, and the user there is {facts.user}",
            fix="set ansible_become: true for a user who may use sudo",
            host=host.name,
        )
    docker = host.docker()
    has_docker = bool(docker.version or docker.detail)
    wanted = provision.resolve(intent, facts, catalogs.load(), has_docker=has_docker)
    tried = "" if wanted.proven == "converged" else ", as its documents say: never tried on one"
    host.record.console.host(
        host.name, f"{wanted.system}{tried}: {len(wanted.packages)} packages; a reboot only where one asks for it"
    )
    return wanted


def converge(converging: Converging, wanted: ProvisionPlan) -> PlaybookOutcome:
    """Install and start what is missing, and prove that it is there.

    Raises:
        PlaybookError: a task failed. VerificationError: Docker does not answer all the same.
    """
    host = converging.host
    with host.record.phase("provision"):
        outcome = converging.play(PLAYBOOK, _variables(host, wanted))
    prove(host, wanted)
    return outcome


def prove(host: Host, wanted: ProvisionPlan) -> None:
    """Require what a plan gives a host.

    Raises:
        VerificationError: Docker does not answer.
    """
    if wanted.docker and not (docker := host.docker()).version:
        raise VerificationError(
            f"{host.name}: everything is installed, and no Docker engine answers",
            fix="on the host: sudo systemctl status docker",
            evidence=(docker.detail,) if docker.detail else (),
            host=host.name,
        )


def preview(converging: Converging) -> None:
    """Show on one host what would be installed and started; nothing is changed, no lock is taken."""
    host = converging.host
    wanted = plan(host)
    with host.record.phase("check"):
        outcome = converging.play(PLAYBOOK, _variables(host, wanted), check=True)
    converging.show_changes(outcome)


def _variables(host: Host, wanted: ProvisionPlan) -> rolevars.RoleVariables:
    return rolevars.provision(wanted, python=host.target.intent.python, lock_wait_s=LOCK_WAIT_S)
