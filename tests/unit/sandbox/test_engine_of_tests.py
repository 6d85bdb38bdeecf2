"""Tests of containers are never left out where all must run."""

import pytest

from tests.container_engine import no_engine


def test_without_an_engine_a_test_fails_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="must run here: no dockerd"):
        no_engine("no dockerd")


def test_without_an_engine_a_test_is_skipped_elsewhere_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no dockerd"):
        no_engine("no dockerd")
