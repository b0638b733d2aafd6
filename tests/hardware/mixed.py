"""Whether a variant of the bare command answers as it does while many are answered, with images among them.

    python3 mixed.py DEPLOYED OUT [--variant "--enable-mixed-chunk"] [--gpus 0,1] [--homes DIR] [--bare ARGUMENTS]

SGLang mixes no step in which somebody asked for log-probabilities, so images.py cannot see what mixing does. Here each
engine answers every case alone, then all of them in company: long answers run, and the cases come in one by one. Mixing
computes the same numbers in another company, as any batch does, and a tie may fall to another token; so what counts is
how many answers are the ones given alone, by the variant and by the command itself. OUT gets mixed.json.
It ends with 1 where an answer failed, no step of the variant was mixed, or it keeps fewer answers than the command.
"""

import concurrent.futures
import sys
import time

from images import ask, content, on_both, png
from side_by_side import Bare, home_of

COMPANY, CASES, APART_S = 8, 24, 0.25
TOKENS, LONG_TOKENS = 24, 2000
MIXED = "a step is mixed"
"""What lively/sitecustomize.py lets SGLang say."""
WORDS = ["sorting", "parsing", "hashing", "locking", "paging", "tracing", "linting", "packing"]


def cases():
    """Return what is asked, by name: text, long text, an image, two images; no two alike."""
    found = {}
    for number in range(CASES):
        word = WORDS[number % len(WORDS)]
        shade = png(112 + 28 * (number % 4), 112, lambda x, y, n=number: ((x * n) % 256, (y + 40 * n) % 256, 128))
        other = png(112, 168, lambda x, y, n=number: (255 - (x + 9 * n) % 256, 30, (y * n) % 200))
        kinds = (
            f"Say something about {word}, {number}. " * 10,
            f"Write a program for {word}, {number}. " * 60,
            content(f"What of {word}? {number}", shade),
            content(f"Compare them, {number}.", shade, other),
        )
        found[f"case {number}"] = kinds[number % len(kinds)]
    return found


def answer(server, what, tokens=TOKENS):
    """Return the text of an answer, or why there is none."""
    found = ask(server, what, tokens, ignore_eos=True)
    return f"failed: {found['failed']}" if "failed" in found else found["choices"][0]["message"]["content"]


def asked(name, engine, arguments, gpu, homes, out):
    """Start an engine, ask it everything alone, then in company; end it."""
    log = out / f"{name}-server.log"
    with home_of(homes, gpu) as home, concurrent.futures.ThreadPoolExecutor(COMPANY + CASES) as pool:
        server = Bare(*engine, arguments, home, log, gpu)
        try:
            found = {"arguments": arguments, "ready_s": server.ready_s()}
            found["alone"] = {case: answer(server, what) for case, what in cases().items()}
            begun = time.monotonic()
            company = [
                pool.submit(answer, server, f"Count from {number}. " * 5, LONG_TOKENS) for number in range(COMPANY)
            ]
            waiting = {}
            for case, what in cases().items():
                concurrent.futures.wait(company, timeout=APART_S)
                waiting[case] = pool.submit(answer, server, what)
            running = sum(not one.done() for one in company)
            found["in company"] = {case: one.result() for case, one in waiting.items()}
            found["company"] = {number: one.result() for number, one in enumerate(company)}
            found |= {"company at the last case": running, "mixed steps": log.read_text().count(MIXED)}
            found["seconds"] = round(time.monotonic() - begun, 1)
        except Exception as error:
            found = {"failed": f"{type(error).__name__}: {error}"}
        finally:
            server.end()
    return found


def kept(alone, company):
    """Return how many answers in company are the ones given alone."""
    return sum(text == company[case] for case, text in alone.items())


def main():
    """Ask both, print what each kept, end with what came of it."""
    found = on_both("--enable-mixed-chunk", asked, "mixed.json")
    sys.exit(compared(found["bare"], found["variant"]))


def compared(bare, variant):
    """Print what came; return 1 where it is not as good."""
    bad = [f"{name}: {one['failed']}" for name, one in (("bare", bare), ("variant", variant)) if "failed" in one]
    if bad:
        print("failed:", *bad)
        return 1
    failed = [case for one in (bare, variant) for case, text in one["in company"].items() if text.startswith("failed")]
    itself, by = kept(bare["alone"], bare["in company"]), kept(bare["alone"], variant["in company"])
    alone = kept(bare["alone"], variant["alone"])
    print(f"of {CASES} answers in company as alone: {itself} by the command, {by} by the variant; {alone} of it alone")
    print(f"different answers: {len(set(bare['alone'].values()))}; failed: {failed}")
    long = kept(bare["company"], variant["company"])
    print(f"of {COMPANY} long answers, with whom they were: {long} by the variant as by the command")
    print(f"mixed steps: {bare['mixed steps']} of the command, {variant['mixed steps']} of the variant")
    return 1 if failed or not variant["mixed steps"] or by < itself else 0


if __name__ == "__main__":
    main()
