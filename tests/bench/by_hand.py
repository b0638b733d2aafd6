"""What a person would do without this project: an environment by pip, the tiny model's files, the engine, a wait.

The reference of `speed.py`. Plain commands, one after the other; nothing of the roles but the files they carry.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.real_engine import EngineWish, serve
from tests.support.tree import ROOT

ROLES = ROOT / "playbooks" / "roles"
Plan = dict[str, Any]


def command(*argv: object) -> None:
    """Run a command to its end; its own words are the message where it fails."""
    result = subprocess.run([str(word) for word in argv], capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{argv} ended with {result.returncode}\n{result.stdout}{result.stderr}")


def make_environment(folder: Path, plan: Plan) -> Path:
    """Install the engine as the plan's lock says; return its interpreter."""
    environment = folder / "environment"
    command("python3", "-m", "venv", environment)
    python = environment / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--no-deps")
    wanted = plan["engine_environment"]
    command(*pip, wanted["torch"])
    command(*pip, "--require-hashes", "--requirement", ROOT / "requirements" / Path(wanted["requirements"]).name)
    site = next(environment.glob("lib/python3.*/site-packages"))
    shutil.copytree(ROLES / "engine_environment" / "files" / "shims", site, dirs_exist_ok=True)
    return python


def make_model(folder: Path, plan: Plan) -> Path:
    """Write the tiny model's files; return their directory."""
    files = ROLES / "model_files" / "files"
    model = folder / "model"
    carried = [(files / name).read_text() for name in ("devstral_tiny.json", "chat_template.jinja")]
    command("python3", files / "make_tiny_model.py", model, json.dumps(plan["files"]["recipe"]), *carried)
    return model


def install_and_start(folder: Path, plan: Plan) -> None:
    """Go from nothing to a healthy engine, then end it. `plan` is a DeploymentPlan as JSON."""
    folder.mkdir(parents=True)
    python = make_environment(folder, plan)
    with serve(EngineWish(python, make_model(folder, plan), folder, free_port())):
        pass
