"""Wait until the engine serves, or say why it will not: it died, it keeps dying, or its time is up."""

from collections.abc import Callable, Sequence

from devstral_fleet.errors import VerificationError
from devstral_fleet.facts import EngineFacts, ServiceFacts

INTERVAL_S = 0.5
CRASHES_TO_GIVE_UP = 2
"""A first restart may be the one we asked for, seen late; a second one is a loop."""

KILLED = (
    "something killed it outright, as the kernel does where the host's memory is out: look with "
    "sudo dmesg | grep -i oom, and free what else holds the memory"
)
REMEDIES = {
    "not enough memory": "nothing is left for the KV pool: raise fleet_mem_fraction_static, or plan more GPUs",
    "out of memory": "lower fleet_context_length or fleet_mem_fraction_static, or free what else holds the memory",
    "can't allocate memory": "lower fleet_max_total_tokens or fleet_context_length, or free what else holds the memory",
    "exit code: -9": KILLED,
    "result oom-kill": KILLED,
}
"""Words of a log or a service manager, in lower case, and what to do about them.

Sources: SGLang, torch on a GPU, torch on a CPU; SGLang of its scheduler, systemd.
"""
ENDED_BY_SIGKILL = ("terminated by sigkill", "ended with status 137", "ended with status 9")
"""Of supervisord; of systemd about Docker's client, and about an engine. SGLang ends itself so after an error."""
EXPLAINED = ("error", "exception", "sigquit")
"""Words of a log that say why SGLang killed itself; without them somebody else did."""

OnState = Callable[[ServiceFacts, EngineFacts], None]


def wait(
    read: Callable[[], tuple[ServiceFacts, EngineFacts]],
    *,
    deadline_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    on_state: OnState = lambda _service, _engine: None,
    log_tail: Callable[[], Sequence[str]] = lambda: (),
    interval_s: float = INTERVAL_S,
    host: str = "",
) -> EngineFacts:
    """Return what the engine answers as soon as it is healthy under a running service.

    Args:
        read: one look at service and endpoint.
        deadline_s: seconds from now after which it has failed.
        on_state: called after every look, for progress.
        host: the host's name, for the error.
        log_tail: the engine's last log lines; called only on failure.

    Raises:
        VerificationError: with the last state seen, and the log's last lines as evidence.
    """
    began = clock()
    watch = _Watch()
    while True:
        service, engine = read()
        on_state(service, engine)
        if engine.healthy and service.state == "running":
            return engine
        elapsed_s = clock() - began
        if reason := watch.death(service):
            raise _failed(f"the engine {reason} ({elapsed_s:.0f} s after its start)", service, engine, log_tail(), host)
        if elapsed_s >= deadline_s:
            raise _failed(f"the engine is not healthy after {elapsed_s:.0f} s", service, engine, log_tail(), host)
        sleep(min(interval_s, max(0.0, deadline_s - elapsed_s)))


class _Watch:
    """Remembers what the service was, to tell an engine that starts from one that starts again and again."""

    def __init__(self) -> None:
        self.pid = 0
        self.ran = False
        self.changes = 0

    def death(self, service: ServiceFacts) -> str:
        """Why the engine counts as dead, '' while it may still come up."""
        if service.pid and self.pid and service.pid != self.pid:
            self.changes += 1
        fell = self.ran and service.state == "starting" and service.pid != self.pid
        self.pid = service.pid or self.pid
        self.ran = self.ran or service.state == "running"
        match service.state:
            case "failed":
                return "died at its start"
            case "stopped" | "absent":
                return f"does not run: its service is {service.state}"
        if fell:
            return "died after it had started"
        return "dies and is started again and again" if self.changes >= CRASHES_TO_GIVE_UP else ""


def _failed(
    what: str, service: ServiceFacts, engine: EngineFacts, log_lines: Sequence[str], host: str
) -> VerificationError:
    remedy = _remedy("\n".join(log_lines).lower(), service.detail.lower())
    remedy += "; " if remedy else ""
    logs = f"read the log lines below; all of them: .venv/bin/invoke logs --host {host or 'HOST'}"
    answer = f"/health answers {engine.health_status}" if engine.health_status else "nothing answers on its port"
    process = f", pid {service.pid}" if service.pid else ""
    return VerificationError(
        f"{f'{host}: ' if host else ''}{what}; last seen: service {service.state}{process}, {answer}",
        fix=f"{remedy}{logs}",
        evidence=(f"{service.manager}: {service.detail}", *log_lines),
        host=host,
    )


def _remedy(log: str, manager: str) -> str:
    """Return what to do about what was said, in lower case; '' where nothing is known."""
    for words, then in REMEDIES.items():
        if words in log or words in manager:
            return then
    killed = any(words in manager for words in ENDED_BY_SIGKILL)
    return KILLED if killed and not any(words in log for words in EXPLAINED) else ""
