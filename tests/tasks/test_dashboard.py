"""task=dashboard states with one line what is missing."""

import pytest


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """A server that does not answer, and no credentials for it."""
    import wandb

    wandb.teardown()
    for variable in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    yield
    wandb.teardown()


def test_without_credentials(sat_exp):
    said = sat_exp("task=dashboard")
    assert said.status == 1
    assert said.text.count("\n") == 0
    assert "no credentials: wandb login, or set WANDB_API_KEY" in said.text


def test_without_the_library(sat_exp, monkeypatch):
    monkeypatch.setattr("sat_exp.tasks.dashboard.find_spec", lambda name: None)
    said = sat_exp("task=dashboard")
    assert said.status == 1
    assert said.text.endswith("pip install 'sat_exp[dashboard]'")


def test_without_a_network(sat_exp, monkeypatch):
    pytest.importorskip("wandb_workspaces")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    said = sat_exp("task=dashboard", "tracking.connect_seconds=1")
    assert said.status == 1
    assert "W&B made no dashboard of sat_exp: " in said.text
    assert "Traceback" not in said.text
