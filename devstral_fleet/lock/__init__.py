"""The deploy lock of a host: a directory that one run holds, with its owner and a heartbeat.

The directory appears whole, owner inside, by one rename that fails where another stands. A lock is stale when its
heartbeat is older than STALE_S by the host's own clock, or when its owner was a process of this machine that is gone;
then it is taken over, and the caller can say so (`Hold.taken_over`).
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from devstral_fleet.errors import ConfigurationError, FleetError, LockedError, UnreachableError
from devstral_fleet.layout import HostLayout
from devstral_fleet.lock import scripts
from devstral_fleet.lock.owner import STALE_S, LockOwner, nobody, read_owner, this_owner
from devstral_fleet.model import Value
from devstral_fleet.shell import CommandResult, Shell

__all__ = ["HEARTBEAT_S", "STALE_S", "Hold", "LockOwner", "absence", "hold", "release", "status"]

HEARTBEAT_S = 2.0
RETRY_S = 1.0


class _Answer(Value):
    word: Literal["acquired", "taken", "held", "free", "released"]
    owner: LockOwner | None


class Hold:
    """A held lock: its owner, whom it was taken over from, and whether it is still ours."""

    def __init__(self, host: str, owner: LockOwner, taken_over: LockOwner | None, clock: Callable[[], float]) -> None:
        self.host = host
        self.clock = clock
        self.heard_s = clock()
        """When the host answered last, by whichever shell."""
        self.owner = owner
        self.taken_over = taken_over
        self.left = False
        self.absence_s = 0.0
        """How much longer than else the host may be silent; it reboots."""
        self.lost_reason = ""
        """Why the lock is no longer ours, one sentence; '' while it is."""

    def leave(self) -> None:
        """Leave the lock to grow stale instead of releasing it: the guard on the host then gives the host back."""
        self.left = True

    @property
    def lost(self) -> bool:
        return bool(self.lost_reason)

    def require(self) -> None:
        """Raise LockedError where the lock is no longer ours: the host may be another run's by now."""
        if self.lost:
            raise LockedError(
                f"{self.host}: {self.lost_reason}",
                fix=f"see what serves: .venv/bin/invoke status --host {self.host}",
                host=self.host,
            )


@contextmanager
def hold(
    open: Callable[[], Shell],
    layout: HostLayout,
    *,
    run_id: str,
    message: str,
    wait_s: float = 0.0,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    heartbeat_s: float = HEARTBEAT_S,
    on_wait: Callable[[LockOwner], None] = lambda _owner: None,
) -> Iterator[Hold]:
    """Hold the host's lock while the context lasts, beating on a shell of its own.

    Args:
        open: makes a shell to the host; the lock opens two and closes them.
        message: why, for whoever finds it locked ('deploy devstral-2').
        wait_s: how long to wait for another run; `on_wait` is called at each try.

    Raises:
        LockedError: another run holds it; or, at the end, it was lost on the way.
        ConfigurationError: the lock cannot be made, because fleet_home is not writable, say.
    """
    owner = this_owner(run_id, message)
    shell = open()
    try:
        with _released_on_interrupt(shell, layout, run_id):
            held = _acquired(shell, layout, owner, clock() + wait_s, clock, sleep, on_wait)
        try:
            with _beating(open, layout, held, heartbeat_s):
                yield held
        finally:  # after the last beat: one that finds the lock gone would call it lost
            if not (
                held.lost or held.left
            ):  # a silent one is left to grow stale: the guard ends its watch where the lock is gone
                _give_back(shell, layout, run_id)
        held.require()
    finally:
        shell.close()


@contextmanager
def absence(shell: Shell, layout: HostLayout, held: Hold, seconds: float) -> Iterator[None]:
    """Keep a held lock over a reboot: for others too it is not stale for so long."""
    held.absence_s = seconds
    _beat_once(shell, layout, held, seconds)
    try:
        yield
    finally:  # it counts as heard before its silence counts again: the heart's own shell may have yet to come back
        with suppress(FleetError):  # a host that is still away is the error
            _beat_once(shell, layout, held, 0.0)
        held.absence_s = 0.0


def status(shell: Shell, layout: HostLayout) -> LockOwner | None:
    """Return who holds the host's lock, None where it is free."""
    return _ask(shell, scripts.STATUS, layout).owner


def release(shell: Shell, layout: HostLayout) -> LockOwner | None:
    """Take the lock away from whoever holds it and return them, None where it was free."""
    return _ask(shell, scripts.RELEASE, layout, "").owner


def _acquired(
    shell: Shell,
    layout: HostLayout,
    owner: LockOwner,
    deadline: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    on_wait: Callable[[LockOwner], None],
) -> Hold:
    gone = ""
    while True:
        answer = _ask(
            shell, scripts.ACQUIRE, layout, owner.run, gone, f"{STALE_S:.0f}", stdin=owner.model_dump_json(indent=1)
        )
        if answer.word != "held":
            return Hold(shell.host, owner, answer.owner if answer.word == "taken" else None, clock)
        holder = answer.owner or nobody()
        if holder.gone and gone != holder.run:
            gone = holder.run
            continue
        if clock() >= deadline:
            raise _locked(shell.host, holder)
        on_wait(holder)
        sleep(min(RETRY_S, max(0.0, deadline - clock())))


@contextmanager
def _released_on_interrupt(shell: Shell, layout: HostLayout, run_id: str) -> Iterator[None]:
    """Ctrl-C may come after the host made the lock and before we heard of it."""
    try:
        yield
    except KeyboardInterrupt:
        _give_back(shell, layout, run_id)
        raise


def _give_back(shell: Shell, layout: HostLayout, run_id: str) -> None:
    """Release our own lock. A host that went away keeps it until it is stale; that must not hide what went wrong."""
    with suppress(UnreachableError):
        _ask(shell, scripts.RELEASE, layout, run_id)


@contextmanager
def _beating(open: Callable[[], Shell], layout: HostLayout, held: Hold, interval_s: float) -> Iterator[None]:
    """Touch the heartbeat in a thread of its own until the context ends."""
    end = threading.Event()
    thread = threading.Thread(target=_beat, args=(open, layout, held, interval_s, end), daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _beat(
    open: Callable[[], Shell],
    layout: HostLayout,
    held: Hold,
    interval_s: float,
    end: threading.Event,
) -> None:
    shell = open()
    try:
        while not end.wait(interval_s) and not held.lost:
            with suppress(FleetError):  # a host that is away for a moment is asked again; the clock below judges
                if not _beat_once(shell, layout, held, held.absence_s) and not end.is_set():
                    held.lost_reason = "the lock was taken away while this run was at work"
            silence_s = STALE_S + held.absence_s
            if held.clock() - held.heard_s > silence_s and not held.lost:
                held.lost_reason = f"the host did not answer for {silence_s:.0f} s; its lock counts as stale"
    finally:
        shell.close()


def _beat_once(shell: Shell, layout: HostLayout, held: Hold, ahead_s: float) -> bool:
    """Touch the heartbeat, `ahead_s` in the future; False where the lock is somebody else's."""
    words = [str(layout.home), held.owner.run, f"{ahead_s:.0f}"]
    result = shell.run(["sh", "-c", scripts.HEARTBEAT, "sh", *words])
    if result.stdout.strip() == "lost":
        return False
    if result.ok:
        held.heard_s = held.clock()
    return True


def _ask(shell: Shell, script: str, layout: HostLayout, *words: str, stdin: str = "") -> _Answer:
    result = shell.run(["sh", "-c", script, "sh", str(layout.home), *words], stdin=stdin)
    if not result.ok:
        raise _unusable(shell.host, layout, result)
    word, age, former = (*result.stdout.split("\n", 2), "", "")[:3]
    return _Answer.model_validate({"word": word, "owner": read_owner(former, age) if age else None})


def _locked(host: str, owner: LockOwner) -> LockedError:
    return LockedError(
        f"{host}: locked by {owner.who} since {owner.since}: {owner.message} (run {owner.run})",
        fix="wait for it: add --lock-wait 600; if that run is dead, its lock is free after "
        f"{STALE_S:.0f} s, or now: .venv/bin/invoke lock.release --host {host}",
        evidence=(
            f"its last heartbeat was {owner.heartbeat_age_s:.0f} s ago",
            f"controller {owner.controller}, pid {owner.pid}",
        ),
        host=host,
    )


def _unusable(host: str, layout: HostLayout, result: CommandResult) -> ConfigurationError:
    return ConfigurationError(
        f"{host}: the lock {layout.lock} cannot be used: {(result.stderr.strip().splitlines() or ['no reason'])[-1]}",
        fix="set fleet_home to a directory that the user may write, or ansible_become: true",
        evidence=result.stderr.strip().splitlines()[-5:],
        host=host,
    )
