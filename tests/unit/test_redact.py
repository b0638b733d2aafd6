import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from devstral_fleet.model import Value
from devstral_fleet.redact import REMOVED, is_secret_name, redact, scrub

CASES = Path(__file__).parent / "cases" / "bench"

SECRETS = st.text(alphabet=string.ascii_letters + string.digits + "-_+/=.", min_size=8, max_size=40)
NAMES = ["api_key", "admin_api_key", "API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "apiKey", "x-api-key", "authorization"]
NAMES += ["launch_command", "ssl_keyfile_password", "token", "password", "client_secret", "api_keys", "access_tokens"]
HARMLESS = ["max_total_tokens", "prompt_tokens", "tokenizer_path", "tokenizer_mode", "eos_token", "bos_token_id"]
HARMLESS += ["kv_bytes_per_token", "total_output_tokens", "private_key_file", "ssl_keyfile", "token_usage", "monkey"]
HARMLESS += [
    "stream_response_default_include_usage",
    "enable_tokenizer_batch_encode",
    "chunked_prefill_size",
    "host_key",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_word_that_only_looks_alike_stays(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Authorization: Bearer 0123456789abcdef", f"Authorization: Bearer {REMOVED}"),
        ("token hf_ABCDEFGHIJKLMNOPQRSTuvwx here", f"token {REMOVED} here"),
        ("ServerArgs(api_key='s3cret-value', port=30000)", f"ServerArgs(api_key='{REMOVED}', port=30000)"),
        ("ServerArgs(api_key=None, port=30000)", "ServerArgs(api_key=None, port=30000)"),
        ('{"admin_api_key": "s3cret-value"}', f'{{"admin_api_key": "{REMOVED}"}}'),
        ("python -m x --api-key s3cret-value --port 1", f"python -m x --api-key {REMOVED} --port 1"),
        ("['--api-key', 's3cret-value']", f"['--api-key', '{REMOVED}']"),
        ("api-key: s3cret-value", f"api-key: {REMOVED}"),
        ("HF_TOKEN=s3cret-value", f"HF_TOKEN={REMOVED}"),
        ("https://user:s3cret-value@host/x", f"https://user:{REMOVED}@host/x"),
        ("max_total_tokens=65536, eos_token='</s>'", "max_total_tokens=65536, eos_token='</s>'"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\nafter", f"{REMOVED}\nafter"),
        ("time to first token: 36.2 ms", "time to first token: 36.2 ms"),
        ("password: 1234567", f"password: {REMOVED}"),
        ("Time per Output Token (excl. 1st token)", "Time per Output Token (excl. 1st token)"),
    ],
)
def test_shapes_of_secrets_leave_the_text(text: str, clean: str) -> None:
    assert redact(text) == clean


@given(secret=SECRETS, before=st.text(max_size=30), after=st.text(max_size=30))
def test_no_given_secret_is_left(secret: str, before: str, after: str) -> None:
    assert secret not in redact(f"{before}{secret}{after}", [secret])


@given(secrets=st.lists(SECRETS, min_size=1, max_size=4), data=st.data())
def test_of_several_secrets_none_is_left(secrets: list[str], data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.sampled_from([*secrets, " ", "words between"]), max_size=12))
    clean = redact("|".join(pieces), secrets)
    assert not [secret for secret in secrets if secret in clean]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(secret=SECRETS, name=st.sampled_from(NAMES), rest=JSON)
def test_a_named_secret_is_removed_at_any_depth(secret: str, name: str, rest: object) -> None:
    nested = {"outer": [rest, {"inner": {name: secret}}], name: [secret]}
    clean = scrub(nested)
    assert clean["outer"][1]["inner"][name] == REMOVED  # type: ignore[index]
    assert clean[name] == REMOVED


@given(rest=JSON)
def test_scrubbing_twice_changes_nothing_more(rest: object) -> None:
    once = scrub(rest)
    assert scrub(once) == once


@given(text=st.text(max_size=80))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


def test_server_info_of_a_real_engine_keeps_all_but_its_secrets() -> None:
    info = json.loads((CASES / "server_info-h100.json").read_text())
    clean = scrub({**info, "api_key": "s3cret-value"}, ["s3cret-value"])
    assert clean["api_key"] == REMOVED
    assert "s3cret-value" not in json.dumps(clean)
    changed = {name for name, value in clean.items() if name in info and value != info[name]}
    assert changed <= {"launch_command", "api_key"}
    assert clean["max_req_input_len"] == info["max_req_input_len"]
    assert clean["tokenizer_path"] == info["tokenizer_path"]


def test_a_password_of_digits_is_a_password_and_a_number_of_tokens_is_not() -> None:
    assert scrub({"password": 12345678, "a_token": 7}) == {"password": REMOVED, "a_token": 7}


def test_what_was_not_set_stays_to_be_seen() -> None:
    assert scrub({"api_key": None, "skip_tokenizer_init": False}) == {"api_key": None, "skip_tokenizer_init": False}


class Look(Value):
    """Nothing but numbers, as a sample of a GPU."""

    offset_s: float
    power_w: float | None = None


class Told(Value):
    """Text at every depth."""

    command: str
    looks: tuple[Look, ...] = ()
    info: dict[str, object] = Field(default_factory=dict)
    inner: "Told | None" = None


def test_values_of_ours_are_cleaned_at_every_depth_and_keep_their_types() -> None:
    looks = (Look(offset_s=0.0, power_w=650.5), Look(offset_s=1.0))
    inner = Told(command="serve --api-key abcdef", info={"api_key": "abcdef", "tp": 2})
    clean = scrub(Told(command="the word is swordfish", looks=looks, inner=inner), ["swordfish"])
    assert clean == Told(
        command=f"the word is {REMOVED}",
        looks=looks,
        inner=Told(command=f"serve --api-key {REMOVED}", info={"api_key": REMOVED, "tp": 2}),
    )
