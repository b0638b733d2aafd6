"""Ansible's processes: they end with the controller, however that ends."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from devstral_fleet.playbook import PlaybookCommand, PlaybookEvent, TaskStarted, run
from tests.support.fleet import ROOT, until

PLAYBOOK = """
- name: Wait, then leave a trace
  hosts: all
  gather_facts: false
  tasks:
    - name: Wait
      ansible.builtin.command: {argv: [cat, "{{ pipe }}"]}
    - name: Leave a trace
      ansible.builtin.command: {argv: [touch, "{{ pipe }}.trace"]}
"""
CONTROLLER = """
import sys
from pathlib import Path
from devstral_fleet.playbook import PlaybookCommand, run
folder = Path(sys.argv[1])
run(PlaybookCommand(str(folder / "p.yml"), (folder / "hosts.json",)), log=folder / "log", on_event=lambda event: None)
"""


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """The pipe that the playbook's first task reads from; it comes to no end before somebody writes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "p.yml").write_text(PLAYBOOK)
    variables = {"pipe": str(pipe), "ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"here": variables}}}))
    return pipe


def readers(pipe: Path) -> list[int]:
    """Processes that read the pipe."""
    found = subprocess.run(["pgrep", "-f", f"^cat {pipe}$"], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split()]


def playbooks(folder: Path) -> list[int]:
    found = subprocess.run(["pgrep", "-f", f"ansible-playbook {folder}/p.yml"], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split()]


def test_an_interrupt_ends_every_process_and_is_passed_on(pipe: Path) -> None:
    def interrupt(event: PlaybookEvent) -> None:
        if event == TaskStarted("", "Wait"):
            until(lambda: bool(readers(pipe)), 30, "the task runs")
            raise KeyboardInterrupt

    command = PlaybookCommand(str(pipe.parent / "p.yml"), (pipe.parent / "hosts.json",))
    with pytest.raises(KeyboardInterrupt):
        run(command, log=pipe.parent / "log", on_event=interrupt)
    assert readers(pipe) == []
    assert playbooks(pipe.parent) == []


def test_a_playbook_whose_controller_was_killed_begins_no_further_task(pipe: Path) -> None:
    controller = subprocess.Popen([sys.executable, "-c", CONTROLLER, str(pipe.parent)], cwd=ROOT)
    until(lambda: bool(readers(pipe)), 60, "the task runs")
    controller.send_signal(signal.SIGKILL)
    controller.wait()
    with suppress(OSError):  # the task may have ended with its controller: nobody reads any more
        writing = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        os.write(writing, b"go on\n")
        os.close(writing)
    until(lambda: not playbooks(pipe.parent), 60, "Ansible has ended")
    assert not Path(f"{pipe}.trace").exists()


def test_the_logs_are_their_owners_alone(pipe: Path) -> None:
    command = PlaybookCommand(str(pipe.parent / "p.yml"), (pipe.parent / "hosts.json",), extra=("--syntax-check",))
    outcome = run(command, log=pipe.parent / "log", on_event=lambda _event: None)
    assert outcome.exit_status == 0
    assert [(pipe.parent / name).stat().st_mode & 0o777 for name in ("log", "log.stderr")] == [0o600, 0o600]
