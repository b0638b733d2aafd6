"""Write the files of a model without its weights: configuration and tokenizer, for `--load-format dummy`.

    python make_weightless_model.py DIRECTORY CONFIGURATION_JSON CHAT_TEMPLATE

Run by the engine's own Python. The architecture is the true one, so that speed and memory are; the text is noise. The
vocabulary is the one that mistral-common ships, the newest of them, with the control tokens of Mistral's tekken v13 in
their places. The directory appears whole, by one rename, with `.complete` in it.
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile

import mistral_common
from transformers.integrations.mistral import convert_tekken_tokenizer

SPECIAL_TOKENS = 1000
NAMED = (
    "<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CALLS] "
    "[IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT]"
)
LATER = {32: "[ARGS]", 33: "[CALL_ID]"}
"""Control tokens by their ids; what is not named is <SPECIAL_n>."""


def control_tokens():
    """Return the names of all control tokens, in the order of their ids."""
    known = {**dict(enumerate(NAMED.split())), **LATER}
    return [known.get(number, f"<SPECIAL_{number}>") for number in range(SPECIAL_TOKENS)]


def vocabulary(folder):
    """Write the vocabulary with every control token named, as a file of mistral-common's format; return its path."""
    shipped = sorted(pathlib.Path(mistral_common.__file__).parent.glob("data/tekken_*.json"))
    if not shipped:
        sys.exit("mistral_common ships no vocabulary (data/tekken_*.json) any more")
    content = json.loads(shipped[-1].read_text(encoding="utf-8"))
    names = enumerate(control_tokens())
    content["special_tokens"] = [{"rank": rank, "token_str": name, "is_control": True} for rank, name in names]
    path = folder / "tekken.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_model(folder, files, chat_template):
    """Write every file into the existing folder; what the configuration says comes after the tokenizer's own."""
    with tempfile.TemporaryDirectory() as place:
        tokenizer = convert_tekken_tokenizer(str(vocabulary(pathlib.Path(place))))
    tokenizer.save_pretrained(folder)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(chat_template, encoding="utf-8")


def main():
    """Make the files beside their place, then rename them there."""
    target = pathlib.Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        write_model(partial, json.loads(sys.argv[2]), sys.argv[3])
        (partial / ".complete").touch()
        partial.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


if __name__ == "__main__":
    main()
