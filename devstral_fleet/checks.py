"""Is the host fit for the plan, and is what runs what was planned? Facts in, findings out (pure)."""

import json
import math
from collections.abc import Collection, Mapping

from packaging.version import InvalidVersion, Version

from devstral_fleet import container
from devstral_fleet.catalog.host_rules import HostRules
from devstral_fleet.facts import EngineFacts, HostFacts, PortFacts, ReleasesFacts, ServiceFacts, VersionsFacts
from devstral_fleet.findings import Finding, finding
from devstral_fleet.plan import DeploymentPlan

FIELD_OF_FLAG = {"model": "model_path", "tp": "tp_size", "tensor_parallel_size": "tp_size"}
"""Flags whose field in /server_info has another name."""
ROUNDING = 1e-4
"""A plan rounds to four digits."""


def before(
    plan: DeploymentPlan,
    host: HostFacts,
    port: PortFacts,
    service: ServiceFacts,
    releases: ReleasesFacts,
    *,
    rules: HostRules,
    python_minimum: str,
    controller_epoch_s: float,
    published: Collection[int] = (),
) -> tuple[Finding, ...]:
    """Judge a host before anything is changed there; a deploy stops at the first `fail`.

    Args:
        rules: what every host must be (catalog).
        python_minimum: oldest Python of the planned engine (catalog).
        controller_epoch_s: the controller's clock when the host was read, in seconds since 1970.
        published: the host's ports that our own container holds.
    """
    return (
        _system(host, rules),
        _accelerator(plan, host, rules),
        _python(plan, host, python_minimum),
        _disk(plan, host, releases),
        _memory(plan, host, service),
        _port(plan, port, service, published),
        _clock(host, controller_epoch_s, rules),
        *((_simulated(host),) if host.simulated else ()),
    )


def after(
    plan: DeploymentPlan,
    service: ServiceFacts,
    engine: EngineFacts,
    versions: VersionsFacts,
    releases: ReleasesFacts,
) -> tuple[Finding, ...]:
    """Judge what runs against what was planned."""
    return (
        _service(plan, service),
        _health(plan, engine),
        _release(plan, releases),
        _same(plan, "served-model", "the served model", plan.served_model_name, engine.model_id),
        _same(plan, "context-length", "the context length", plan.context_length, engine.max_model_len),
        _kv_pool(plan, engine),
        _arguments(plan, engine),
        _same(plan, "sglang-version", "SGLang's version", plan.sglang_version, _sglang_version(engine, versions)),
        _transformers(plan, versions),
    )


def _deploy(plan: DeploymentPlan) -> str:
    return f".venv/bin/invoke deploy --host {plan.host}"


def _logs(plan: DeploymentPlan) -> str:
    return f".venv/bin/invoke logs --host {plan.host}"


def _system(host: HostFacts, rules: HostRules) -> Finding:
    name = f"{host.os_id or 'unknown system'} {host.os_version}".strip()
    summary = f"{name}, kernel {host.kernel}, {host.architecture}"
    if host.os_id in rules.systems:
        return finding("operating-system", "ok", summary)
    fix = f"it may work; tried are {', '.join(rules.systems)}"
    return finding("operating-system", "warn", f"{name} has not been tried", fix, summary)


def _accelerator(plan: DeploymentPlan, host: HostFacts, rules: HostRules) -> Finding:
    if host.architecture not in rules.architectures:
        fix = f"use a host with {' or '.join(rules.architectures)}"
        return finding("accelerator", "fail", f"there is no engine for {host.architecture}", fix)
    if plan.accelerator == "cpu":
        return finding("accelerator", "ok", f"{host.cpu_count} processor cores ({host.architecture})")
    return finding("accelerator", "ok", f"there is an engine for {plan.accelerator} on {host.architecture}")


def _python(plan: DeploymentPlan, host: HostFacts, minimum: str) -> Finding:
    if plan.runtime != "native":
        return finding("python", "ok", f"python3 {host.python_version or 'is not needed'}")
    if not host.python_version:
        return finding("python", "fail", "there is no python3", "apt-get install python3 python3-venv")
    if Version(host.python_version) < Version(minimum):
        fix = f"install Python {minimum} or later and name it with fleet_python"
        return finding("python", "fail", f"Python {host.python_version} is older than {minimum}", fix)
    if not host.has_venv:
        fix = "apt-get install python3-venv"
        return finding("python", "fail", f"Python {host.python_version} cannot make an environment", fix)
    return finding("python", "ok", f"Python {host.python_version} with venv")


def _disk(plan: DeploymentPlan, host: HostFacts, releases: ReleasesFacts) -> Finding:
    free, needed = host.disk_free_gib, plan.disk_needed_gib
    if free >= needed:
        return finding("disk", "ok", f"{free:g} GiB free under {plan.home}, {needed:g} needed")
    if any(release.digest == plan.digest for release in releases.releases):
        return finding("disk", "ok", f"{free:g} GiB free under {plan.home}; this plan's files are there already")
    summary = f"{free:g} GiB free under {plan.home}, a first deploy needs {needed:g}"
    if any(release.model == plan.model for release in releases.releases):
        return finding("disk", "warn", f"{summary}; the model's files are there already", _disk_fix(needed - free))
    return finding("disk", "fail", summary, _disk_fix(needed - free))


def _disk_fix(missing_gib: float) -> str:
    return f"free {missing_gib:.1f} GiB, or set fleet_home to a larger disk"


def _memory(plan: DeploymentPlan, host: HostFacts, service: ServiceFacts) -> Finding:
    """What our own engine holds now will be free: it is stopped before the next one starts."""
    ours = service.begun
    has, word = (host.memory_gib, "in all") if ours else (host.memory_available_gib, "available")
    if has >= plan.memory_needed_gib:
        return finding("memory", "ok", f"{has:g} GiB memory {word}, {plan.memory_needed_gib:g} needed")
    summary = f"{has:g} GiB memory {word}, the engine needs {plan.memory_needed_gib:g}"
    return finding("memory", "fail", summary, "end other programs, or use a host with more memory")


def _port(plan: DeploymentPlan, port: PortFacts, service: ServiceFacts, published: Collection[int]) -> Finding:
    if not port.listening:
        return finding("port", "ok", f"port {plan.port} is free")
    unseen = port.pid == 0 and service.begun  # another user's process shows no pid
    if unseen or port.pid == service.pid != 0 or plan.port in published:
        return finding("port", "ok", f"port {plan.port} is our engine's")
    who = f"{port.command} (pid {port.pid})" if port.pid else "a program of another user"
    fix = f"end that program, or set fleet_port to another port: ss -ltnp 'sport = :{plan.port}' shows it"
    return finding("port", "fail", f"port {plan.port} is taken by {who}", fix)


def _clock(host: HostFacts, controller_epoch_s: float, rules: HostRules) -> Finding:
    skew_s = host.utc_epoch_s - controller_epoch_s
    if abs(skew_s) <= rules.clock_skew_s:
        return finding("clock", "ok", "the host's clock agrees with this machine's")
    word = "ahead of" if skew_s > 0 else "behind"
    summary = f"the host's clock is {abs(skew_s):.0f} s {word} this machine's"
    return finding("clock", "warn", summary, "set it: timedatectl set-ntp true")


def _simulated(host: HostFacts) -> Finding:
    summary = f"this host is simulated ({host.simulated}): what it says of GPUs, memory and disk is recorded"
    return finding("simulated", "warn", summary, "plan, doctor and deploy --check work here; deploy to another host")


def _service(plan: DeploymentPlan, service: ServiceFacts) -> Finding:
    if service.state == "running":
        return finding("service", "ok", f"{service.manager} runs the engine (pid {service.pid})")
    summary = f"the engine's service is {service.state}"
    return finding("service", "fail", summary, f"start it: {_deploy(plan)}", service.detail)


def _health(plan: DeploymentPlan, engine: EngineFacts) -> Finding:
    if engine.healthy:
        return finding("health", "ok", f"{plan.base_url} is healthy")
    said = f"/health answers {engine.health_status}" if engine.health_status else "nothing answers"
    fix = f"see why: {_logs(plan)}"
    return finding("health", "fail", f"{plan.base_url} is not healthy: {said}", fix)


def _release(plan: DeploymentPlan, releases: ReleasesFacts) -> Finding:
    digest = next((release.digest for release in releases.releases if release.id == releases.serving), "")
    if digest == plan.digest:
        return finding("release", "ok", f"release {releases.serving} serves and was made from this plan")
    serving = releases.serving or "nothing"
    fix = f"bring the plan to the host: {_deploy(plan)}"
    return finding("release", "fail", f"{serving} serves, which was made from another plan", fix)


def _same(plan: DeploymentPlan, check: str, what: str, planned: object, seen: object) -> Finding:
    if planned == seen:
        return finding(check, "ok", f"{what} is {seen}, as planned")
    fix = f"bring the plan to the host: {_deploy(plan)}"
    return finding(check, "fail", f"{what} is {seen or 'unknown'}, planned is {planned}", fix)


def _kv_pool(plan: DeploymentPlan, engine: EngineFacts) -> Finding:
    seen = kv_pool_tokens(engine.server_info)
    if seen is None:
        return finding(
            "kv-pool", "warn", "the engine does not say how large its KV pool is", f"read it in the log: {_logs(plan)}"
        )
    if seen >= plan.kv_pool_tokens:
        return finding("kv-pool", "ok", f"the KV pool holds {seen} tokens, {plan.kv_pool_tokens} planned")
    fix = "end other programs on the accelerator, or lower fleet_context_length"
    return finding("kv-pool", "fail", f"the KV pool holds {seen} tokens, {plan.kv_pool_tokens} were planned", fix)


def kv_pool_tokens(server_info: Mapping[str, object]) -> int | None:
    """Tokens of the KV pool as SGLang says them; newer versions on top, others in the scheduler's state."""
    states = server_info.get("internal_states")
    state = states[0] if isinstance(states, list) and states and isinstance(states[0], dict) else {}
    usage = state.get("memory_usage")
    for place, name in (
        (server_info, "max_total_num_tokens"),
        (state, "max_total_num_tokens"),
        (usage if isinstance(usage, dict) else {}, "token_capacity"),
    ):
        tokens = place.get(name)
        if isinstance(tokens, int):
            return tokens
    return None


def _arguments(plan: DeploymentPlan, engine: EngineFacts) -> Finding:
    if not engine.server_info:
        fix = f"see why: {_logs(plan)}"
        return finding("arguments", "fail", "the engine does not say its arguments (/server_info)", fix)
    planned = planned_fields(container.arguments(plan))
    if plan.memory and "mem_fraction_static" in planned:  # with AITER the engine lowers the argument, and says so
        planned["mem_fraction_static"] = str(plan.memory.mem_fraction_static)
    known = {name: value for name, value in planned.items() if name in engine.server_info}
    other = [
        f"{name}: planned {value}, runs with {engine.server_info[name]}"
        for name, value in known.items()
        if not _equal(value, engine.server_info[name])
    ]
    if other:
        fix = f"bring the plan to the host: {_deploy(plan)}"
        return finding("arguments", "fail", f"the engine runs with other arguments: {other[0]}", fix, *other)
    return finding("arguments", "ok", f"the engine runs with the planned arguments ({len(known)} compared)")


def planned_fields(arguments: tuple[str, ...]) -> dict[str, str]:
    """Read `--some-flag value` words as SGLang's fields: {'some_flag': 'value'}; a flag alone is 'True'."""
    fields: dict[str, str] = {}
    flag = ""
    for word in arguments:
        if word.startswith("--"):
            name, sign, value = word.removeprefix("--").partition("=")
            flag = name.replace("-", "_")
            flag = FIELD_OF_FLAG.get(flag, flag)
            fields[flag] = value if sign else "True"
        elif flag:
            fields[flag] = word if fields[flag] == "True" else f"{fields[flag]} {word}"
    return fields


def _equal(planned: str, seen: object) -> bool:
    """Compare a word of the command line with the engine's typed value."""
    if isinstance(seen, bool) or seen is None:
        return planned == str(seen)
    if isinstance(seen, int | float):
        try:
            return math.isclose(float(planned), seen, rel_tol=ROUNDING if isinstance(seen, float) else 0.0)
        except ValueError:
            return False
    if isinstance(seen, list):
        return planned.split() == [str(entry) for entry in seen]
    return planned == seen or planned == json.dumps(seen)


def _sglang_version(engine: EngineFacts, versions: VersionsFacts) -> str:
    """What runs says it best; what is installed may be newer than what was started."""
    running = engine.server_info.get("version")
    return str(running) if running else versions.sglang


def _transformers(plan: DeploymentPlan, versions: VersionsFacts) -> Finding:
    minimum, seen = plan.transformers_minimum, versions.transformers
    summary = f"transformers {seen or 'is missing'}, {minimum} or later is needed"
    try:
        enough = Version(seen) >= Version(minimum)
    except InvalidVersion:
        enough = False
    if enough:
        return finding("transformers-version", "ok", summary)
    fix = f"the engine's environment was changed by hand; {_deploy(plan)} makes it anew"
    return finding("transformers-version", "fail", summary, fix)
