"""What the container runtime asks of a host, and whether the container runs the planned image (pure)."""

from devstral_fleet.catalog.provisioning import System
from devstral_fleet.facts import DockerFacts
from devstral_fleet.findings import Finding
from devstral_fleet.plan import DeploymentPlan


def before(
    plan: DeploymentPlan, docker: DockerFacts, *, by_systemd: bool, system: System | None, provisioned: bool
) -> tuple[Finding, ...]:
    """Judge a host before anything is changed there; nothing is asked of one that runs the engine natively.

    Args:
        by_systemd: whether systemd would keep the engine (`rolevars.manager_for`).
        system: the catalog's word on how to provision the host's system, None for none.
        provisioned: `provision` may change the host (`provision.possible`).
    """
    if plan.image is None:
        return ()
    return (
        _keeper(by_systemd),
        _engine(plan, docker, provisioned=provisioned),
        _provision(docker, system),
        *((_registry(docker),) if plan.image.pulled else ()),
    )


def after(plan: DeploymentPlan, docker: DockerFacts) -> tuple[Finding, ...]:
    """Judge what the container runs against what was planned."""
    if plan.image is None:
        return ()
    reference = plan.image.reference
    if docker.running_id and docker.running_id == docker.image_id:
        return (Finding(check="image", state="ok", summary=f"the container runs {reference} ({_short(docker)})"),)
    runs = f"an image of another name ({docker.running_id[:19]})" if docker.running_id else "nothing"
    summary = f"the container runs {runs}, planned is {reference}"
    return (Finding(check="image", state="fail", summary=summary, fix=f".venv/bin/invoke deploy --host {plan.host}"),)


def _keeper(by_systemd: bool) -> Finding:
    if by_systemd:
        return Finding(check="service-manager", state="ok", summary="systemd keeps the container")
    return Finding(
        check="service-manager",
        state="fail",
        summary="a container is kept by systemd, which is not process 1 here or not ours to tell",
        fix="set ansible_become: true for a user who may use sudo, or fleet_runtime: native",
    )


def _engine(plan: DeploymentPlan, docker: DockerFacts, *, provisioned: bool) -> Finding:
    if docker.version:
        return Finding(check="docker", state="ok", summary=f"Docker {docker.version} answers")
    start = "on the host: sudo systemctl start docker"
    by_hand = "on the host: install a Docker engine, as its documents say"
    install = f".venv/bin/invoke provision --host {plan.host}" if provisioned else by_hand
    return Finding(
        check="docker",
        state="fail",
        summary="no Docker engine answers" if docker.detail else "there is no Docker engine",
        fix=start if docker.detail else install,
        evidence=(docker.detail,) if docker.detail else (),
    )


def _provision(docker: DockerFacts, system: System | None) -> Finding:
    if system is None:
        return Finding(
            check="provision",
            state="ok" if docker.version else "warn",
            summary="nothing is known of how to provision this system",
            fix="" if docker.version else "install a Docker engine by hand, as its documents say",
        )
    tried = "" if system.proven == "converged" else " as its documents say (rendered): it was never tried on one"
    return Finding(check="provision", state="ok", summary=f"{system.name} can be provisioned{tried}")


def _registry(docker: DockerFacts) -> Finding:
    if docker.lost_proxy:
        return Finding(
            check="registry",
            state="fail",
            summary=f"Docker pulls by the proxy {docker.lost_proxy}, and nothing answers there",
            fix="correct it in /etc/systemd/system/docker.service.d or /etc/docker/daemon.json, then: on the host: "
            "sudo systemctl daemon-reload && sudo systemctl restart docker",
        )
    if not docker.unresolved:
        said = "the image is there" if docker.image_id else "the image's registry has an address"
        return Finding(check="registry", state="ok", summary=said)
    return Finding(
        check="registry",
        state="fail",
        summary=f"the host finds no address of {docker.unresolved}, from which the image is pulled",
        fix="correct the host's name servers (resolvectl status), give its Docker a proxy "
        "(/etc/systemd/system/docker.service.d), or name an image that this machine has: fleet_image",
    )


def _short(docker: DockerFacts) -> str:
    return docker.image_id.removeprefix("sha256:")[:12]
