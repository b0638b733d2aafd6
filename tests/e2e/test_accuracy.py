"""The accuracy benchmark by SGLang's own harness, in the real engine's Python: what it asks, reads and makes of it."""

import dataclasses
import random
from pathlib import Path

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet import data_files
from devstral_fleet.bench import baselines
from devstral_fleet.bench.accuracy import AccuracyResult, require
from devstral_fleet.catalog.accuracy import AccuracyBenchmark
from devstral_fleet.errors import ExitCode, PerformanceError, VerificationError
from devstral_fleet.layout import HostLayout
from devstral_fleet.shell import LocalShell
from devstral_fleet.workflows.accuracy import Wish, Work, accuracy, answered, judge, prepare
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Ask, Target
from devstral_fleet.workflows.record import HostRecord
from tests.support.answering_server import KEY, Answer, Server, answering_server, number_of, question, questions
from tests.support.fleet import Site
from tests.support.hosts import quiet
from tests.support.intents import cpu_host, planned

pytestmark = pytest.mark.real_engine

GSM8K = catalogs.load().accuracy["gsm8k"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up questions, as many as GSM8K has."""
    path = tmp_path_factory.mktemp("questions") / "sheep.jsonl"
    path.write_text(questions(GSM8K.rows))
    return path


@pytest.fixture(scope="module")
def benchmark(file: Path) -> AccuracyBenchmark:
    """GSM8K, had it these questions."""
    read = data_files.find(GSM8K, given=str(file), inventory=file.parent, cache=file.parent)
    return GSM8K.model_copy(update={"sha256": read.sha256})


@pytest.fixture
def home(tmp_path: Path, real_environment: Path) -> Path:
    """A home whose engine environment is the real one."""
    layout, plan = HostLayout.of(f"{tmp_path}/home"), planned(cpu_host())
    assert plan.engine_environment is not None
    for path in (layout.environments, layout.jobs, layout.secrets):
        Path(path).mkdir(parents=True)
    Path(layout.environment(plan.engine_environment.digest)).symlink_to(real_environment)
    Path(layout.secrets / "api.key").write_text(KEY + "\n")
    return Path(layout.home)


def host_of(home: Path, server: Server) -> Host:
    """A host whose engine is that server; its model is the one with a baseline in the catalog."""
    intent = cpu_host(home=str(home), port=server.server_port)
    wanted = Target(intent, planned(intent).model_copy(update={"model": "devstral-2"}))
    console, _ = quiet()
    return Host(wanted, LocalShell(wanted.name), HostRecord(wanted, console))


def judged(home: Path, work: Work, answer: Answer) -> AccuracyResult:
    """Ask a server that answers so, as the product does, and judge it by the catalog."""
    with answering_server(answer) as server:
        host = host_of(home, server)
        return judge(host, answered(host, "run-1", work), work)


@pytest.fixture
def work(benchmark: AccuracyBenchmark, file: Path) -> Work:
    """All that the seed asked."""
    return prepare(benchmark, Wish(data=str(file)), file.parent, file.parent)


@pytest.fixture
def few(benchmark: AccuracyBenchmark, file: Path) -> Work:
    """A dozen questions."""
    return prepare(benchmark, Wish(questions=12, data=str(file)), file.parent, file.parent)


@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a site whose proxy reaches no loopback."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def shares(share: float, count: int) -> set[int]:
    """So many of the first `count` questions, at random but the same ones each time."""
    return set(random.Random(1).sample(range(count), round(share * count)))  # noqa: S311 - no secret


@pytest.mark.usefixtures("dead_proxy")
def test_right_answers_pass(home: Path, work: Work) -> None:
    found = judged(home, work, lambda index: f" So there are {number_of(index):,} sheep.")
    assert (found.num_questions, found.correct, found.invalid, found.state) == (1316, 1316, 0, "pass")
    assert (found.num_shots, found.baseline_accuracy, found.accuracy) == (8, 0.922, 1.0)
    assert list((home / "jobs").iterdir()) == []


def test_85_in_100_right_fail(home: Path, work: Work) -> None:
    right = shares(0.85, work.questions)
    found = judged(home, work, lambda index: str(number_of(index) + (index not in right)))
    assert (found.correct, found.state) == (len(right), "fail")
    assert found.reason == (
        "accuracy is 0.850, the baseline's 0.922 allows 0.907 (2 standard errors of 0.0074 for 1316 questions)"
    )
    with pytest.raises(PerformanceError, match="answers worse than its baseline"):
        require("local", found)


def test_random_answers_fail(home: Path, work: Work) -> None:
    draw = random.Random(2)  # noqa: S311 - no secret
    found = judged(home, work, lambda _: str(draw.randrange(20_000)) if draw.random() < 0.5 else "sheep")
    assert (found.state, found.correct < 20, 500 < found.invalid < 800) == ("fail", True, True)


def test_the_prompt_is_the_seeds(home: Path, few: Work) -> None:
    with answering_server(lambda index: str(number_of(index))) as server:
        answered(host_of(home, server), "run-1", few)
        asked = server.asked
    shots = "".join(f"Question: {one['question']}\nAnswer: {one['answer']}\n\n" for one in map(question, range(8)))
    prompts = {body["text"]: body["sampling_params"] for body in asked if body["sampling_params"]["max_new_tokens"]}
    assert set(prompts) == {f"{shots}Question: {question(index)['question']}\nAnswer:" for index in range(12)}
    for parameters in prompts.values():
        assert parameters["stop"] == ["Question", "Assistant:", "<|separator|>"]
        assert (parameters["max_new_tokens"], parameters["temperature"]) == (512, 0.0)


RIGHT = ("{0}", " 3 + 4 = 7 sheep, so {0:,} are left.", "There are {0}.\n#### {0}")
WRONG = ("{0} sheep and 99999 goats", "{0}.0")
INVALID = ("a few", "")


@pytest.mark.soak
def test_the_last_number_of_an_answer_counts(home: Path, few: Work) -> None:
    forms = (*RIGHT, *WRONG, *INVALID)
    found = judged(home, few, lambda index: forms[index].format(number_of(index)) if index < len(forms) else "0")
    assert (found.num_questions, found.correct, found.invalid) == (12, len(RIGHT), len(INVALID))
    assert (found.state, found.reason.partition(":")[0]) == ("not-comparable", "too few to judge")


@pytest.mark.soak
def test_a_question_without_an_answer_is_no_wrong_answer(home: Path, few: Work) -> None:
    with pytest.raises(VerificationError, match=r"1 of the questions got no answer; the first: .*no room") as caught:
        judged(home, few, lambda index: None if index == 5 else str(number_of(index)))
    assert KEY not in "\n".join(caught.value.evidence)
    assert list((home / "jobs").iterdir()) == []


@pytest.fixture
def served(real_site: Site, engine_home: Path) -> Site:
    """The real engine, serving its plain plan."""
    assert engine_home == real_site.home
    real_site.set(environment=None, context_length=None, health_deadline_s=None, drain_deadline_s=None)
    deployed = real_site.invoke("deploy", "--no-bench")
    assert deployed.exit_code == 0, deployed.text
    return real_site


def test_the_verb_asks_the_real_engine(served: Site, file: Path) -> None:
    ended = served.invoke("accuracy", "--questions", "1", "--data", str(file), "--json")

    assert ended.exit_code == 0, ended.text
    (host,) = ended.document["hosts"]
    (found,) = host["accuracy"]
    assert (found["num_questions"], found["state"], host["outcome"]) == (1, "not-comparable", "measured")
    assert found["reason"].startswith("another data file than GSM8K's")
    assert found["output_throughput"] > 0
    assert "measured, its answers are not comparable" in ended.stderr
    assert list((served.home / "jobs").iterdir()) == []


@pytest.mark.soak
def test_the_report_of_every_workload_tells_all_that_was_proven_of_the_release(served: Site, file: Path) -> None:
    """What GPUs alone have (their clock, acceptance) and other hardware's numbers are no part of it."""
    for words in (("verify", "--tools"), ("accuracy", "--questions", "1", "--data", str(file))):
        ended = served.invoke(*words)
        assert ended.exit_code == 0, ended.text

    ended = served.invoke("bench", "--workload", "all", "--repeats", "2", "--json")

    assert ended.exit_code == 0, ended.text
    (host,) = ended.document["hosts"]
    assert host["release"] == served.link("serving")
    told = {kind for proof in host["proofs"] for kind in ("accuracy", "tool_cases", "startup") if proof[kind]}
    assert told == {"accuracy", "tool_cases", "startup"}
    started = next(proof for proof in host["proofs"] if proof["startup"])
    assert (started["startup"]["release"], len(started["tasks"])) == (host["release"], 10)
    assert {row["workload"] for row in host["bench"]} == {"chat-smoke", "reasoning-smoke", "summarization-smoke"}
    run = max(served.runs.glob("*-bench-*/report.json")).parent
    page, text = (run / "report.html").read_text(), (run / "report.md").read_text()
    parts = (
        "Throughput against speed for a user",
        "Latency",
        "Benchmark",
        "Verdict",
        "Accuracy",
        "Tool calls",
        "Start-up",
        "Slowest tasks",
    )
    for caption in (*parts, "Fingerprint", "Plan"):
        assert f"### {caption}" in text
        assert caption in page
    assert page.count("<svg") >= 4


@pytest.mark.soak
def test_random_weights_fail_a_baseline_and_pass_their_own(
    served: Site, file: Path, benchmark: AccuracyBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole verb over the real engine, with questions of ours for GSM8K's and short answers."""
    short = benchmark.model_copy(update={"max_new_tokens": 4, "num_questions": 200})
    catalog = dataclasses.replace(catalogs.load(), accuracy={"gsm8k": short})
    monkeypatch.setattr(catalogs, "load", lambda: catalog)
    for name, value in served.environment().items():
        monkeypatch.setenv(name, value)
    (served.directory / "data").mkdir(exist_ok=True)
    (served.directory / "data" / GSM8K.file).write_bytes(file.read_bytes())

    def verb(wish: Wish) -> tuple[ExitCode, str]:
        console, said = quiet()
        return accuracy(console, Ask(served.host), wish), said.getvalue()

    code, said = verb(Wish())
    assert (code, served.report()["hosts"][0]["accuracy"][0]["state"]) == (ExitCode.OK, "no-baseline"), said
    assert f"invoke accuracy --host {served.host} --save-baseline" in said
    code, said = verb(Wish(save_baseline=True))
    assert (code, served.report()["hosts"][0]["outcome"]) == (ExitCode.OK, "recorded"), said
    code, said = verb(Wish())
    assert (code, served.report()["hosts"][0]["accuracy"][0]["state"]) == (ExitCode.OK, "pass"), said

    recorded = served.directory / "baselines" / f"{served.host}.json"
    own = baselines.load_accuracy(served.directory, served.host)[0]
    baselines.save_accuracy(served.directory, served.host, own.model_copy(update={"accuracy": 0.922}))
    code, said = verb(Wish())
    recorded.unlink()
    assert code == ExitCode.PERFORMANCE, said
    assert "answers worse than its baseline" in said
