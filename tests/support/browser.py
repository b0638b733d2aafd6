"""This machine's Chromium without a window, driven over the DevTools protocol; it can look up no name."""

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

DEADLINE_S = 600.0
"""After which the browser is killed: whatever waits for it then fails."""
WAIT_MS = 60_000.0
ARGUMENTS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-default-browser-check",
)
LISTENING = "DevTools listening on "
TASK = "RunTask"
CATEGORIES = ["toplevel", "disabled-by-default-devtools.timeline"]


class Seen(NamedTuple):
    """A page that was opened from disk, and what it said and asked for meanwhile."""

    page: Page
    messages: list[str]
    requests: list[str]


@contextmanager
def browser() -> Iterator[Browser]:
    """Run one while the context lasts; its whole process group ends with it."""
    with tempfile.TemporaryDirectory(prefix="browser-") as profile:
        sandbox = () if os.geteuid() else ("--no-sandbox",)  # Chromium refuses to have one as root
        argv = ["chromium", *ARGUMENTS, *sandbox, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, process_group=0)
        deadline = threading.Timer(DEADLINE_S, _end, (process,))
        deadline.start()
        try:
            address = _address(process)
            with sync_playwright() as driver:
                yield driver.chromium.connect_over_cdp(address, timeout=WAIT_MS)
        finally:
            deadline.cancel()
            _end(process)


@contextmanager
def opened(running: Browser, file: Path, **wishes: Any) -> Iterator[Seen]:
    """Open a file as a person does who double-clicks it. `wishes`: of Playwright's context, such as color_scheme."""
    context: BrowserContext = running.new_context(**wishes)
    context.set_default_timeout(WAIT_MS)
    try:
        page, messages, requests = context.new_page(), list[str](), list[str]()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(file.as_uri())
        yield Seen(page, messages, requests)
    finally:
        context.close()


def longest_task_ms(running: Browser, file: Path) -> float:
    """Open a file and return its longest task, in milliseconds of processor time: other programs' load is not in it."""
    with opened(running, Path("/dev/null")) as seen:
        running.start_tracing(page=seen.page, categories=CATEGORIES)
        seen.page.goto(file.as_uri())
        seen.page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        events = json.loads(running.stop_tracing())["traceEvents"]
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event.get("tdur", event["dur"])
        for event in events
        if event.get("ph") == "X" and TASK in event["name"] and (event["pid"], event["tid"]) in main
    ]
    return float(max(tasks)) / 1000


def _address(process: subprocess.Popen[str]) -> str:
    """Read where it listens; a browser that ends, or is ended by its deadline, says nothing more."""
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(LISTENING):
            threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop it
            return line.removeprefix(LISTENING).strip()
    raise RuntimeError(f"chromium did not start: {''.join(said)}")


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
