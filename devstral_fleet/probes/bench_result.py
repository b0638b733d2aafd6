"""What a benchmark wrote. The host reads it: its details are many megabytes, of which a few kilobytes are wanted.

Keys of the details: SGLang 0.5.10 to 0.5.23, `result_details` in sglang/bench_serving.py, later
sglang/benchmark/serving.py. They are lists, an entry a request; of one that failed `output_lens` is 0.
"""

from pathlib import PurePath

from pydantic import TypeAdapter, ValidationError

from devstral_fleet.bench.goodput import RequestTimes
from devstral_fleet.model import Value
from devstral_fleet.probes import output
from devstral_fleet.shell import Shell

# Prints the answered requests' times as one line of JSON, then the result without its details; a line that is no JSON
# goes as it is to the parser, which says what is wrong with it.
SCRIPT = r"""
import json, sys
try:
    text = open(sys.argv[1], encoding="utf-8", errors="replace").read()
except OSError:
    text = ""
line = next((line for line in reversed(text.splitlines()) if line.strip()), "")
requests = []
try:
    record = json.loads(line)
except ValueError:
    record = None
if isinstance(record, dict):
    names = ("ttfts", "itls", "output_lens", "input_lens", "generated_texts", "errors")
    firsts, gaps, lengths, *_ = [record.pop(name, None) or [] for name in names]
    for first, between, length in zip(firsts, gaps, lengths):
        if length:
            mean = sum(between) / len(between) if between else 0.0
            requests.append({"ttft_ms": round(first * 1000, 3), "tpot_ms": round(mean * 1000, 3)})
    line = json.dumps(record)
print(json.dumps(requests))
print(line)
"""
READ_S = 120.0
"""A hundred megabytes of JSON, on a host that is busy."""


class Written(Value):
    """One result file."""

    line: str
    """The result as bench_serving wrote it, without details; '' of an empty file, cut where the file is."""
    requests: tuple[RequestTimes, ...]
    """Of each answered request; () where details were not asked for."""


def read(shell: Shell, path: PurePath) -> Written:
    """Read a result file's last line on the host. A file that is not there is an empty one.

    Raises:
        ProbeError: the script failed or printed something else.
    """
    text = output.run(shell, "bench result", ["python3", "-I", "-", str(path)], stdin=SCRIPT, timeout_s=READ_S)
    requests, _, line = text.partition("\n")
    try:
        return Written(line=line, requests=TypeAdapter(tuple[RequestTimes, ...]).validate_json(requests))
    except ValidationError as error:
        raise output.unreadable("bench result", "no times of requests", text) from error
