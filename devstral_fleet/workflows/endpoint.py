"""What a client needs to reach a served model: base URL, model name, where the key is, a line to paste."""

import json
import shlex
from dataclasses import dataclass

from devstral_fleet.words import ssh
from devstral_fleet.workflows.host import Host


@dataclass(frozen=True)
class Client:
    """A client's settings. The key itself is not among them: its file is."""

    base_url: str
    model: str
    header_source: str
    """What follows `curl -H @`: the file (0600) with the Authorization header, or a command's output that is it."""
    key_command: str
    """Command that prints the key."""

    def curl(self) -> str:
        """A chat request to paste; the key is read by curl from its file and stands in no argv."""
        body = {"model": self.model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}
        return " ".join(
            [
                "curl -s",
                f"{self.base_url}/chat/completions",
                f"-H @{self.header_source}",
                "-H 'Content-Type: application/json'",
                f"-d {shlex.quote(json.dumps(body))}",
            ]
        )

    def lines(self) -> list[str]:
        """What `connect` prints."""
        return [
            f"export OPENAI_BASE_URL={self.base_url}",
            f'export OPENAI_API_KEY="$({self.key_command})"',
            f"model: {self.model}",
            self.curl(),
        ]

    def document(self) -> dict[str, str]:
        """The same as data."""
        return {
            "base_url": self.base_url,
            "model": self.model,
            "header_source": self.header_source,
            "key_command": self.key_command,
            "curl": self.curl(),
        }


def client(host: Host, base_url: str) -> Client:
    """Describe a client that reaches the endpoint by `base_url` (no path)."""
    key_file, header_file = (str(host.layout.secrets / name) for name in ("api.key", "auth.header"))
    local = host.target.intent.connection.kind == "local"
    return Client(
        base_url=f"{base_url}/v1",
        model=host.plan.served_model_name,
        header_source=shlex.quote(header_file) if local else f"<({_cat(host, header_file)})",
        key_command=_cat(host, key_file),
    )


def _cat(host: Host, path: str) -> str:
    """A command to paste that prints a file of the host, by the way that the inventory reaches it."""
    connection = host.target.intent.connection
    command = f"{'sudo ' if connection.become else ''}cat {shlex.quote(path)}"
    if connection.kind == "local":
        return command
    return ssh(connection, command)


def report(host: Host) -> dict[str, object]:
    """Fields of the host's report that say how to use the endpoint, and what to run next.

    The endpoint listens on its host's loopback: from elsewhere `connect` comes first, and prints the curl line.
    """
    here = client(host, host.plan.base_url)
    local = host.target.intent.connection.kind == "local"
    verbs = (*(() if local else ("connect",)), "verify", "bench", "status", "logs", "stop")
    return {
        "endpoint": here.base_url,
        "curl": here.curl() if local else "",
        "next_commands": tuple(f".venv/bin/invoke {verb} --host {host.name}" for verb in verbs),
    }
