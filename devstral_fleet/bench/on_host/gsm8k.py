"""Ask a served model GSM8K's questions by SGLang's own few_shot_gsm8k, and write what that says of them as JSON.

    python3 gsm8k.py DATA OUTPUT HOST PORT SHOTS QUESTIONS TOKENS PARALLEL

Runs in the engine's own Python. What it needs beyond the harness: the API key (from OPENAI_API_KEY), which that does
not know; a socket for each request in flight; no proxy, which Python would ask for the loopback too.
"""

import json
import os
import resource
import sys
import traceback
from argparse import Namespace
from pathlib import Path

LOST = []
"""What each question met that got no answer; the harness itself only says that there is none."""


def endpoint_with_key(kind):
    """Return SGLang's endpoint with the API key, and with an ear for requests that fail."""

    class Endpoint(kind):
        def __init__(self, base_url):
            super().__init__(base_url, api_key=os.environ["OPENAI_API_KEY"])

        def generate(self, *words, **named):
            try:
                return super().generate(*words, **named)
            except Exception as error:
                LOST.append(error)
                raise

    return Endpoint


def main(data, output, host, *numbers):
    """Ask all questions; `numbers` are the port and those that follow it."""
    port, shots, questions, tokens, parallel = map(int, numbers)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    from sglang.test import few_shot_gsm8k as harness

    harness.RuntimeEndpoint = endpoint_with_key(harness.RuntimeEndpoint)
    os.chdir(Path(output).parent)  # where it dumps every prompt and answer
    asked = Namespace(
        data_path=data,
        host=host,
        port=port,
        num_shots=shots,
        num_questions=questions,
        max_new_tokens=tokens,
        parallel=parallel,
        temperature=0.0,
    )
    found = {name: float(number) for name, number in harness.run_eval(asked).items()}
    write(Path(output), {"questions": min(questions, rows(data)), **found})


def rows(data):
    """Count the questions of a file."""
    with open(data) as file:
        return sum(1 for _ in file)


def write(output, document):
    """Write a file that appears whole."""
    partial = output.with_name("." + output.name)
    partial.write_text(json.dumps(document))
    partial.replace(output)


try:
    main(*sys.argv[1:])
except BaseException:
    if LOST:
        print(f"{len(LOST)} of the questions got no answer; the first: {LOST[0]}", file=sys.stderr)
    else:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)  # threads of questions that got no answer would keep it from ending
