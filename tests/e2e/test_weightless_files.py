"""A model without weights, its files made as the role makes them: the engine's own Python reads them as the model's."""

import json
import subprocess
from pathlib import Path

from devstral_fleet import catalog as catalogs
from tests.support.tree import ROOT

FILES = ROOT / "playbooks" / "roles" / "model_files" / "files"
MODEL = "devstral-small-2"
READ = """
import json, sys
from transformers import AutoConfig, AutoTokenizer
tokenizer, config = (each.from_pretrained(sys.argv[1]) for each in (AutoTokenizer, AutoConfig))
text = "def f(x): return x  # \\u00e9\\u4f60"
control = ["<s>", "</s>", "[TOOL_CALLS]", "[SYSTEM_PROMPT]", "[ARGS]", "[CALL_ID]"]
print(json.dumps({
    "length": len(tokenizer),
    "control": tokenizer.convert_tokens_to_ids(control),
    "same": tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text,
    "chat": tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False),
    "layers": config.text_config.num_hidden_layers,
}))
"""


def test_the_engine_reads_them_as_the_models_own(real_environment: Path, tmp_path: Path) -> None:
    model = catalogs.load().model(MODEL)
    python, target = str(real_environment / "bin" / "python"), tmp_path / "model"
    words = [(FILES / name).read_text() for name in (model.weightless, "chat_template.jinja")]
    script = (FILES / "make_weightless_model.py").read_text()
    made = subprocess.run([python, "-", str(target), *words], input=script, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr

    read = subprocess.run([python, "-c", READ, str(target)], capture_output=True, text=True, timeout=300)
    assert read.returncode == 0, read.stderr
    found = json.loads(read.stdout.splitlines()[-1])

    assert (found["length"], found["layers"], found["same"]) == (model.vocabulary, model.layers, True)
    assert found["control"] == [1, 2, 9, 17, 32, 33]
    assert found["chat"] == "<s>[INST]hi[/INST]"
    assert (target / ".complete").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
