#!/usr/bin/python
"""Run a program on the host, as `ansible.builtin.command` does it, in half the time.

A module that is shipped with Ansible's own library spends half a second there on unpacking and compiling it, once for
each task. This one needs nothing but Python. Its arguments come as a JSONARGS module's do: Ansible's developer guide,
"Ansible module architecture".
"""

import glob
import json
import subprocess

DOCUMENTATION = """
module: fleet_program
short_description: Run a program on the host
description:
  - Its exit status is the task's. What it prints says that it changed something, so a program that changes nothing
    prints nothing.
options:
  argv: {type: list, elements: str, required: true, description: The program and its arguments.}
  stdin: {type: str, description: Its standard input.}
  creates: {type: str, description: Pattern of a path; where one is there the program does not run.}
"""
WISH = r"""<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>"""
OPTIONS = {"argv", "stdin", "creates"}
NOT_FOUND = 127


def run(argv, stdin):
    """Return what a task returns of a program that has ended."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, errors="replace")
    except OSError as error:
        return {"failed": True, "rc": NOT_FOUND, "msg": f"{argv[0]}: {error.strerror}", "stdout": "", "stderr": ""}
    result = {"rc": done.returncode, "stdout": done.stdout.rstrip("\r\n"), "stderr": done.stderr.rstrip("\r\n")}
    if done.returncode:
        return {**result, "failed": True, "msg": "non-zero return code"}
    return {**result, "changed": bool(result["stdout"])}


def main(wish):
    """Return the task's result."""
    unknown = {name for name in wish if not name.startswith("_ansible_")} - OPTIONS
    if unknown or not wish.get("argv"):
        return {"failed": True, "msg": f"argv is needed, and nothing beside {sorted(OPTIONS)}; not: {sorted(unknown)}"}
    creates = wish.get("creates")
    if creates and glob.glob(creates):
        return {"changed": False, "rc": 0, "stdout": "", "stderr": "", "msg": f"{creates} is there"}
    if wish.get("_ansible_check_mode"):
        return {"changed": bool(creates), "skipped": not creates, "msg": "not run in check mode"}
    result = run([str(word) for word in wish["argv"]], wish.get("stdin") or "")
    return {**result, "changed": True} if creates and not result.get("failed") else result


print(json.dumps(main(json.loads(WISH))))
