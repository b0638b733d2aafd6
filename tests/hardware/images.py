"""Whether a variant of the bare command answers as it does, about images too: log-probabilities beside each other.

    python3 images.py DEPLOYED OUT [--variant "--cuda-graph-backend-prefill breakable"] [--gpus 0,1] [--homes DIR]

DEPLOYED is what `deploy --json` wrote on this machine, on the native runtime. Both engines have the same weights, where
they are dummies with the spread of lively/sitecustomize.py, no prefix cache, and get the same requests, on two GPUs at
the same time or on one after the other. Each is asked twice, which shows how far one engine is from itself, and about
two images of one size, which shows how far apart answers are that must not be the same. OUT gets images.json.
No step of these is mixed with others (mixed.py does that): SGLang mixes none in which somebody wants log-probabilities.
It ends with 1 where an answer failed, or a variant is not nearer to the command than one image to another.
"""

import argparse
import base64
import json
import os
import pathlib
import struct
import sys
import urllib.error
import urllib.request
import zlib

from side_by_side import BARE, Bare, at_once, engine_of, home_of

BARE_WITH_PICTURES = f"{BARE} --mm-feature-transport cpu"
"""SGLang 0.5.17 answers two images in one message with HTTP 500 without it."""
LIKELIEST = 20
LIVELY = pathlib.Path(__file__).parent.absolute() / "lively"
TOKENS = 8
ANSWER_S = 300


def png(width, height, colour):
    """Return a PNG; `colour` gives red, green and blue of a place."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(c for x in range(width) for c in colour(x, y)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def content(text, *images):
    """Return a message's content: text and images."""
    urls = (f"data:image/png;base64,{base64.b64encode(image).decode()}" for image in images)
    return [{"type": "text", "text": text}, *({"type": "image_url", "image_url": {"url": url}} for url in urls)]


def cases():
    """Return what is asked, by name."""
    shades = png(448, 448, lambda x, y: (x % 256, y % 256, 128))
    squares = png(448, 448, lambda x, y: (255 if (x // 32 + y // 32) % 2 else 0,) * 3)
    tall = png(280, 560, lambda x, y: (255 - x % 256, 30, y % 200))
    return {
        "text": "Say something about sorting. " * 20,
        "long text": "Write a parser for INI files. " * 120,
        "shades": content("What is on it?", shades),
        "squares": content("What is on it?", squares),
        "two images": content("Compare them.", shades, tall),
    }


def likeliest(server, what):
    """Return the tokens of an answer and the first one's likeliest, with their log-probabilities."""
    found = ask(server, what, TOKENS, logprobs=True, top_logprobs=LIKELIEST)
    if "failed" in found:
        return found
    tokens = found["choices"][0]["logprobs"]["content"]
    first = {each["token"]: each["logprob"] for each in tokens[0]["top_logprobs"]}
    return {"prompt_tokens": found["usage"]["prompt_tokens"], "tokens": [t["token"] for t in tokens], "first": first}


def ask(server, what, tokens, **more):
    """Return the answer to one message, or why there is none."""
    body = {"model": "any", "messages": [{"role": "user", "content": what}], "temperature": 0, "max_tokens": tokens}
    body |= more
    address = f"http://127.0.0.1:{server.port}/v1/chat/completions"
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return {"failed": f"{error}: {error.read().decode()[:300]}"}


def asked(name, engine, arguments, gpu, homes, out):
    """Start an engine, ask it everything twice, end it."""
    with home_of(homes, gpu) as home:
        server = Bare(*engine, arguments, home, out / f"{name}-server.log", gpu)
        try:
            ready_s = server.ready_s()
            rounds = [{case: likeliest(server, what) for case, what in cases().items()} for _ in range(2)]
            return {"arguments": arguments, "ready_s": ready_s, "answers": rounds[0], "again": rounds[1]}
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {error}"}
        finally:
            server.end()


def distance(one, other):
    """Return the largest difference between the log-probabilities that two answers have in common; inf without any."""
    both = set(one.get("first", ())) & set(other.get("first", ()))
    return max((abs(one["first"][token] - other["first"][token]) for token in both), default=float("inf"))


def main():
    """Ask both, print each case's distances, end with what came of it."""
    found = on_both("--cuda-graph-backend-prefill breakable", asked, "images.json")
    failed = [name for name, answers in found.items() if "failed" in answers]
    sys.exit(f"failed: {', '.join(failed)}" if failed else compared(found["bare"], found["variant"]))


def on_both(variant, work, file):
    """Let the bare command and a variant of it work, on two GPUs at the same time or one after the other.

    `work` takes a name, the engine, its arguments, a GPU, the homes, a folder; what it returns is kept in `file` too.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("deployed", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--variant", default=variant)
    parser.add_argument("--bare", default=BARE_WITH_PICTURES)
    parser.add_argument("--gpus", default="0,1")
    parser.add_argument("--homes", type=pathlib.Path, help="with gpu0, gpu1: homes with what was compiled before")
    options = parser.parse_args()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    os.environ["PYTHONPATH"] = str(LIVELY)
    engine, arguments = engine_of(options.deployed), [*options.bare.split(), "--disable-radix-cache"]
    found, gpus = {}, [int(gpu) for gpu in options.gpus.split(",")]

    def one(job):
        name, more, gpu = job
        found[name] = work(name, engine, [*arguments, *more], gpu, options.homes, out)

    jobs = (("bare", [], gpus[0]), ("variant", options.variant.split(), gpus[-1]))
    if len(gpus) > 1:
        at_once(one, jobs)
    else:
        list(map(one, jobs))
    (out / file).write_text(json.dumps(found, indent=1))
    return found


def compared(bare, variant):
    """Print each case; return 1 where one failed or is too far away."""
    apart = distance(bare["answers"]["shades"], bare["answers"]["squares"])
    print(f"one image and another, bare: {apart:.4f}")
    bad = []
    for case, answer in bare["answers"].items():
        other = variant["answers"][case]
        away, itself = distance(answer, other), distance(answer, bare["again"][case])
        print(f"{case}: {away:.4f} from the variant, {itself:.4f} from itself; same tokens:", end=" ")
        print(answer.get("tokens") == other.get("tokens"), answer.get("failed", ""), other.get("failed", ""))
        bad += [case] if not away < apart else []
    return 1 if bad else 0


if __name__ == "__main__":
    main()
