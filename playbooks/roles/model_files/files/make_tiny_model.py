"""Write a tiny checkpoint in the true Devstral Small 2 architecture, with random weights and no download.

    python3 make_tiny_model.py DIRECTORY RECIPE_JSON CONFIGURATION_JSON CHAT_TEMPLATE

The recipe holds sizes only; every key is required and no other is known. The configuration is devstral_tiny.json:
{file name: content}, where a string that is a key of the recipe stands for that key's value. Same recipe, same
bytes: numbers and tokens come from the recipe's seed, never from the machine. Only the standard library is used,
so that the model does not depend on the engine's environment. The directory appears whole, by one rename, with
`.complete` in it.

Architecture: Mistral3ForConditionalGeneration, a Pixtral vision tower, a projector and a Ministral3 text model.
Tokenizer: byte-level BPE with the control tokens of Mistral's tekken v13, numbered as SGLang's parser expects.
"""

import array
import json
import os
import pathlib
import random
import shutil
import struct
import sys
import tempfile

RECIPE_KEYS = {"arch", "vocab", "hidden", "layers", "heads", "kv_heads", "head_dim", "ffn", "ctx", "seed"}
CONTROL_TOKENS_IN_ORDER = (
    "<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CALLS] "
    "[IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT] "
    "<SPECIAL_20> <SPECIAL_21> <SPECIAL_22> <SPECIAL_23> <SPECIAL_24> <SPECIAL_25> <SPECIAL_26> <SPECIAL_27> "
    "<SPECIAL_28> <SPECIAL_29> <SPECIAL_30> <SPECIAL_31> [ARGS] [CALL_ID]"
)
CONTROL_TOKENS = CONTROL_TOKENS_IN_ORDER.split()

TEXT = (
    "the of and to in is it you that he was for on are with as his they be at one have this from or had by word but "
    "what some we can out other were all there when up use your how said an each she which do their time if will way "
    "about many then them write would like so these her long make thing see him two has look more day could go come "
    "did number sound no most people my over know water than call first who may down side been now find def return "
    "import class self None True False print while break continue yield lambda raise except finally pass async await "
    "function const let var null string integer number object array properties required type name arguments value "
    "city weather temperature location query result error message content user assistant system tool model token"
)
CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxyz", "aeiou"


def byte_characters():
    """Return the 256 printable characters that stand for bytes in byte-level BPE, in byte order."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    replacements = iter(range(256, 512))
    return [chr(byte if byte in printable else next(replacements)) for byte in range(256)]


def merge_chains(space):
    """Yield (left, right) pairs without end: prefixes of known words first, then of ever longer syllables."""
    for word in TEXT.split():
        for start in (space + word, word):
            for cut in range(1, len(start)):
                yield start[:cut], start[cut]
    syllables = [consonant + vowel for consonant in CONSONANTS for vowel in VOWELS]
    for syllable in syllables:
        yield syllable[0], syllable[1]
    for first in syllables:
        for second in syllables:
            yield first, second


def vocabulary_and_merges(size):
    """Return ({token: id}, [[left, right]]) with exactly `size` tokens, the control tokens first."""
    characters = byte_characters()
    vocabulary = {token: number for number, token in enumerate([*CONTROL_TOKENS, *characters])}
    merges = []
    for left, right in merge_chains(characters[ord(" ")]):
        if len(vocabulary) == size:
            return vocabulary, merges
        if left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            merges.append([left, right])
    sys.exit(f"vocab {size} is not between {len(CONTROL_TOKENS) + 256} and {len(vocabulary)}")


def tokenizer(size):
    """Return the content of tokenizer.json."""
    vocabulary, merges = vocabulary_and_merges(size)
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": token, **plain} for number, token in enumerate(CONTROL_TOKENS)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }


def filled(value, recipe):
    """Return `value` with every string that names a key of the recipe replaced by that key's number."""
    if isinstance(value, dict):
        return {key: filled(inner, recipe) for key, inner in value.items()}
    return recipe.get(value, value) if isinstance(value, str) else value


def model_config(config):
    """Return config.json with the one number that is computed: YaRN's factor, the ratio of both contexts."""
    text = config["text_config"]
    rope = text["rope_parameters"]
    factor = rope["max_position_embeddings"] / rope["original_max_position_embeddings"]
    return {**config, "text_config": {**text, "rope_parameters": {**rope, "factor": factor}}}


def text_shapes(recipe):
    """Yield (tensor name, shape) of the text model and its head."""
    hidden, feed_forward, head = recipe["hidden"], recipe["ffn"], recipe["head_dim"]
    queries, keys = recipe["heads"] * head, recipe["kv_heads"] * head
    yield "language_model.model.embed_tokens.weight", (recipe["vocab"], hidden)
    for layer in range(recipe["layers"]):
        prefix = f"language_model.model.layers.{layer}."
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
        yield prefix + "self_attn.q_proj.weight", (queries, hidden)
        yield prefix + "self_attn.k_proj.weight", (keys, hidden)
        yield prefix + "self_attn.v_proj.weight", (keys, hidden)
        yield prefix + "self_attn.o_proj.weight", (hidden, queries)
        yield prefix + "mlp.gate_proj.weight", (feed_forward, hidden)
        yield prefix + "mlp.up_proj.weight", (feed_forward, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, feed_forward)
    yield "language_model.model.norm.weight", (hidden,)
    yield "language_model.lm_head.weight", (recipe["vocab"], hidden)


def vision_shapes(vision, merge, hidden_size):
    """Yield (tensor name, shape) of the vision tower and of the projector into `hidden_size`."""
    width, feed_forward, patch = vision["hidden_size"], vision["intermediate_size"], vision["patch_size"]
    yield "vision_tower.patch_conv.weight", (width, 3, patch, patch)
    yield "vision_tower.ln_pre.weight", (width,)
    for layer in range(vision["num_hidden_layers"]):
        prefix = f"vision_tower.transformer.layers.{layer}."
        yield prefix + "attention_norm.weight", (width,)
        yield prefix + "ffn_norm.weight", (width,)
        for name in "qkvo":
            yield f"{prefix}attention.{name}_proj.weight", (width, width)
        yield prefix + "feed_forward.gate_proj.weight", (feed_forward, width)
        yield prefix + "feed_forward.up_proj.weight", (feed_forward, width)
        yield prefix + "feed_forward.down_proj.weight", (width, feed_forward)
    yield "multi_modal_projector.norm.weight", (width,)
    yield "multi_modal_projector.patch_merger.merging_layer.weight", (width, width * merge**2)
    yield "multi_modal_projector.linear_1.weight", (hidden_size, width)
    yield "multi_modal_projector.linear_2.weight", (hidden_size, hidden_size)


def bfloat16(numbers):
    """Return `numbers` as little-endian bfloat16: the upper half of each 32-bit float."""
    single = array.array("f", numbers)
    if sys.byteorder == "big":
        single.byteswap()
    raw = single.tobytes()
    half = bytearray(len(raw) // 2)
    half[0::2], half[1::2] = raw[2::4], raw[3::4]
    return bytes(half)


def weights(name, shape, draw):
    """Return one tensor's bytes: ones for a norm, else normal numbers whose width keeps activations near one."""
    count = 1
    for size in shape:
        count *= size
    if len(shape) == 1:
        return bfloat16([1.0] * count)
    width = 1.0 if "embed_tokens" in name else (count // shape[0]) ** -0.5
    return bfloat16([draw(0.0, width) for _ in range(count)])


def write_safetensors(path, shapes, draw):
    """Write the tensors as one safetensors file: length of the header, header, bytes."""
    header, body = {"__metadata__": {"format": "pt"}}, bytearray()
    for name, shape in shapes:
        start = len(body)
        body += weights(name, shape, draw)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, len(body)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return len(body) // 2


def check(recipe):
    """End with a sentence when the recipe is not one that this file can follow."""
    if set(recipe) != RECIPE_KEYS:
        sys.exit(f"the recipe's keys differ from the known ones in: {', '.join(sorted(set(recipe) ^ RECIPE_KEYS))}")
    if recipe["arch"] != "mistral3":
        sys.exit(f"the recipe's arch {recipe['arch']!r} is not 'mistral3'")


def write_model(directory, recipe, files, chat_template):
    """Write every file of the checkpoint into the existing `directory`; return the number of parameters."""
    config = files["config.json"] = model_config(files["config.json"])
    files["tokenizer_config.json"]["chat_template"] = chat_template
    files["tokenizer.json"] = tokenizer(recipe["vocab"])
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
    (directory / "chat_template.jinja").write_text(chat_template, encoding="utf-8")
    vision = vision_shapes(config["vision_config"], config["spatial_merge_size"], recipe["hidden"])
    draw = random.Random(recipe["seed"]).gauss
    return write_safetensors(directory / "model.safetensors", [*text_shapes(recipe), *vision], draw)


def main():
    """Make the model beside its place, then rename it there."""
    target, recipe = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
    check(recipe)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        parameters = write_model(partial, recipe, filled(json.loads(sys.argv[3]), recipe), sys.argv[4])
        (partial / ".complete").touch()
        partial.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f"{target}: {parameters / 1e6:.2f} million parameters")


if __name__ == "__main__":
    main()
