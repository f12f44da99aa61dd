"""What a recipe of somebody else and what the page may do on this machine: no key leaves it, no folder is opened."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest
from prefect.context import FlowRunContext

from flows.allowed import MLFLOW_KEYS, check_from_page, check_keys, check_what_started
from flows.commands.app import main
from flows.experiment import experiment_flow
from flows.planning import plan_experiment
from flows.recipes import load_recipe
from flows.retraining import retraining_flow
from storage.home import Home

EVIL = ("utility.method=medu", "utility.medu.base_url=https://evil.example/v1")
KEY = "utility.medu.api_key_variable=AWS_SECRET_ACCESS_KEY"


@pytest.fixture(autouse=True)
def nothing_is_trusted(monkeypatch, tmp_path):
    for variable in ("MIXSTITCH_TRUSTED", "MIXSTITCH_FOLDERS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def trust(text: str) -> None:
    Home.from_environment().root.joinpath("trusted.yaml").write_text(text, encoding="utf-8")


def test_a_recipe_sends_no_key_to_a_host_that_is_not_trusted_with_it(monkeypatch):
    evil = load_recipe("pocket", [*EVIL, KEY])
    for asked in (lambda: check_keys(evil), lambda: plan_experiment(evil)):
        with pytest.raises(
            ValueError, match=r"AWS_SECRET_ACCESS_KEY may not be sent to https://evil\.example;"
        ):
            asked()
    monkeypatch.setenv("MIXSTITCH_TRUSTED", "OPENAI_API_KEY=evil.example,AWS_SECRET_ACCESS_KEY=api.example")
    with pytest.raises(ValueError, match=r"MIXSTITCH_TRUSTED=AWS_SECRET_ACCESS_KEY=evil\.example in"):
        check_keys(evil)
    monkeypatch.setenv("MIXSTITCH_TRUSTED", "AWS_SECRET_ACCESS_KEY=evil.example")
    check_keys(evil)


def test_the_file_of_the_home_is_a_word_of_this_machine_but_not_one_that_lies_where_a_recipe_lies(
    monkeypatch, tmp_path
):
    evil = load_recipe("pocket", [*EVIL, KEY])
    trust("keys: {AWS_SECRET_ACCESS_KEY: [evil.example]}")
    check_keys(evil)
    (tmp_path / "home").rename(tmp_path / ".mixstitch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIXSTITCH_HOME")
    with pytest.raises(ValueError, match="may not be sent"):
        check_keys(evil)


def test_the_command_line_says_so_once_with_exit_2_before_anything_starts(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        "sys.argv", ["mixstitch", "run", "pocket", *(w for o in (*EVIL, KEY) for w in ("-o", o))]
    )
    with pytest.raises(SystemExit, match="2"):
        main()
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "MIXSTITCH_TRUSTED=AWS_SECRET_ACCESS_KEY=evil.example" in told
    assert "secret" not in told
    assert not (tmp_path / "home").exists()


def test_a_duel_that_asks_a_judge_is_a_recipe_like_any_other():
    contender = "{name: judged, utility: medu, mixture: {method: utilimax}}"
    duel = f"duel={{contenders: [{contender}, {{name: flat, mixture: {{method: uniform}}}}]}}"
    with pytest.raises(ValueError, match="may not be sent"):
        check_keys(load_recipe("pocket", [*EVIL[1:], KEY, duel]))


def test_mlflows_own_keys_go_to_trusted_hosts_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    tracked = load_recipe("pocket", ["tracking.mlflow_uri=http://evil.example:5000"])
    for variable in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    check_keys(tracked)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    with pytest.raises(
        ValueError, match=r"MIXSTITCH_TRUSTED=MLFLOW_TRACKING_TOKEN=http://evil\.example:5000 in"
    ):
        check_keys(tracked)


def test_the_file_of_mlflows_user_and_password_names_no_host_and_is_not_read_for_any(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in MLFLOW_KEYS:
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text("[mlflow]\nmlflow_tracking_password = secret\n")
    tracked = load_recipe("pocket", ["tracking.mlflow_uri=https://evil.example"])
    with pytest.raises(
        ValueError, match=r"~/\.mlflow/credentials.*MIXSTITCH_TRUSTED=MLFLOW_TRACKING_PASSWORD=evil"
    ) as caught:
        check_keys(tracked)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("MIXSTITCH_TRUSTED", "MLFLOW_TRACKING_PASSWORD=evil.example")
    check_keys(tracked)
    check_keys(load_recipe("pocket"))


@pytest.mark.parametrize("uri", ["databricks", "sqlite:////tmp/x.db", "file:/tmp/x", "/tmp/x", "uc:x"])
def test_results_go_to_a_server_or_into_the_home(uri):
    with pytest.raises(ValueError, match=r"mlflow_uri.*allowed: the http:// or https:// URL"):
        load_recipe("pocket", [f"tracking.mlflow_uri={uri}"])


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("evaluation.task_folder=FOLDER", r"evaluation\.task_folder=.*runs the code"),
        ("evaluation.run_code=true", r"evaluation\.run_code=True: runs what models write, and cannot be set"),
        ("tracking.mlflow_uri=http://evil.example", r"tracking\.mlflow_uri=.*cannot be set from the page"),
        ("tracking.mlflow_uri=http://127.0.0.1:5000", r"tracking\.mlflow_uri=.*cannot be set from the page"),
        (
            "utility.medu.base_url=http://evil.example/v1",
            r"utility\.medu\.base_url=.*cannot be set from the page",
        ),
        ("sources.folder=FOLDER", r"sources\.folder=.*cannot be set from the page"),
        ("evaluation.folder=FOLDER", r"evaluation\.folder=.*cannot be set"),
        ("sources.listed=[{name: a, reader: text, path: /etc/*}]", r"sources\.listed\.0\.path=/etc/\*"),
        ("sources.listed=[{name: a, reader: text, path: 'x*/*'}]", r"sources\.listed\.0\.path="),
        ("sources.listed=[{name: a, reader: text, path: HOME/../x}]", r"sources\.listed\.0\.path="),
        ("sources.listed=[{name: a, reader: text, path: HOME/link/x}]", r"sources\.listed\.0\.path="),
        ("sources.tokenizer.pretrained=FOLDER", r"sources\.tokenizer\.pretrained="),
        ("utility.anchors=FOLDER/a.csv", r"utility\.anchors="),
        ("preference.table=FOLDER/a.csv", r"preference\.table="),
        ("preference.ratings=FOLDER/a.csv", r"preference\.ratings="),
    ],
)
def test_the_page_opens_nothing_that_was_not_named_on_this_machine(override, told, tmp_path):
    home = Home.from_environment()
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (home.root / "link").symlink_to(folder)
    asked = override.replace("FOLDER", str(folder)).replace("HOME", str(home.root))
    experiment = load_recipe("pocket", [asked, "experts.specialisation_check=null"])
    with pytest.raises(ValueError, match=told):
        check_from_page(experiment, home)


def test_the_page_may_what_was_named_on_this_machine(tmp_path, monkeypatch):
    home = Home.from_environment()
    asked = [
        "sources.folder=" + str(tmp_path / "data" / "a"),
        "utility.medu.base_url=https://judge.example/v1",
    ]
    experiment = load_recipe("pocket", asked)
    trust(f"hosts: [judge.example]\nfolders: [{tmp_path / 'data'}]")
    check_from_page(experiment, home)
    trust("")
    monkeypatch.setenv("MIXSTITCH_TRUSTED", "judge.example")
    monkeypatch.setenv("MIXSTITCH_FOLDERS", f"/nowhere:{tmp_path / 'data'}")
    check_from_page(experiment, home)
    inside = [f"sources.folder={home.root / 'texts'}", "utility.medu.base_url=http://localhost:8000/v1"]
    check_from_page(load_recipe("pocket", inside), home)
    names = ["model.pretrained=org/name", "sources.tokenizer.pretrained=org/name"]
    check_from_page(load_recipe("pocket", names), home)


@pytest.mark.parametrize("flow", [experiment_flow, retraining_flow])
def test_a_run_of_a_deployment_is_checked_first_and_a_run_of_the_shell_is_not(flow, monkeypatch, tmp_path):
    experiment = load_recipe("pocket", [f"sources.folder={tmp_path}"])
    started = SimpleNamespace(deployment_id=uuid.uuid4())
    monkeypatch.setattr(FlowRunContext, "get", lambda: SimpleNamespace(flow_run=started))
    with pytest.raises(ValueError, match=r"sources\.folder=.*cannot be set from the page"):
        flow.fn(experiment)
    assert list(Home.from_environment().runs.iterdir()) == []
    started.deployment_id = None
    check_what_started(experiment)


@pytest.mark.parametrize("flow", [experiment_flow, retraining_flow])
def test_no_run_is_even_recorded_where_a_key_would_go_astray(flow):
    with pytest.raises(ValueError, match="may not be sent"):
        flow.fn(load_recipe("pocket", [*EVIL, KEY]))
    assert list(Home.from_environment().runs.iterdir()) == []


@pytest.mark.parametrize(
    ("trusted", "url", "may"),
    [
        ("K=api.example", "https://api.example/v1", True),
        ("K=api.example", "https://API.example:443/v1", True),
        ("K=api.example", "http://api.example/v1", False),  # unencrypted
        ("K=http://api.example", "http://api.example/v1", True),
        ("K=http://api.example", "https://api.example/v1", False),
        ("K=api.example", "https://api.example:8443/v1", False),
        ("K=api.example:8443", "https://api.example:8443/v1", True),
        ("K=api.example", "https://sub.api.example/v1", False),
        ("K=api.example", "https://api.example.evil/v1", False),
        ("K=127.0.0.1:8000", "http://127.0.0.1:8000/v1", True),
        ("K=localhost:8000", "http://127.0.0.1:8000/v1", False),
        ("K=[::1]:8000", "http://[::1]:8000/v1", True),
        ("api.example", "https://api.example/v1", False),  # named without the key
    ],
)
def test_a_pair_is_one_key_and_one_address(trusted, url, may, monkeypatch):
    monkeypatch.setenv("MIXSTITCH_TRUSTED", trusted)
    asked = load_recipe(
        "pocket", ["utility.method=medu", f"utility.medu.base_url={url}", "utility.medu.api_key_variable=K"]
    )
    if may:
        check_keys(asked)
        return
    with pytest.raises(ValueError, match=r"MIXSTITCH_TRUSTED=(\S+)") as told:
        check_keys(asked)
    # What it says is what helps.
    monkeypatch.setenv("MIXSTITCH_TRUSTED", str(told.value).split("MIXSTITCH_TRUSTED=")[1].split(" in ")[0])
    check_keys(asked)


@pytest.mark.parametrize(
    "text",
    [
        "keys: [a]",
        "keys: {A: b}",
        "key: {A: [b]}",
        "hosts: [ftp://a]",
        "hosts: [1]",
        "- a",
        "a: [",
        "hosts: ['a/b']",
    ],
)
def test_a_file_that_cannot_be_read_trusts_nobody_and_says_so(text):
    trust(text)
    with pytest.raises(ValueError, match=r"trusted\.yaml: "):
        check_keys(load_recipe("pocket", [*EVIL, KEY]))


def test_an_environment_that_cannot_be_read_trusts_nobody_and_says_so(monkeypatch):
    monkeypatch.setenv("MIXSTITCH_TRUSTED", "A=ftp://host")
    with pytest.raises(ValueError, match=r"MIXSTITCH_TRUSTED: 'ftp://host': no host"):
        check_keys(load_recipe("pocket", [*EVIL, KEY]))
