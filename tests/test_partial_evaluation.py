"""An evaluation that is stopped goes on where it was, and ends as if it had never been."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import forked

import zoo
from zoo.environment import cache_folder
from zoo.evaluation import partial

MODEL, SAMPLES = "gaussian-vae-digits", 30
DECODED = 300 * (2 + SAMPLES)
"""By a whole evaluation: two draws, then the weighted ones."""


class StoppedError(Exception):
    """Somebody pressed Ctrl-C."""


@pytest.fixture(autouse=True)
def kept_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every batch, in a cache of the test's own."""
    monkeypatch.setattr(partial, "SECONDS", 0.0)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))


def evaluated(progress: Callable[[int, int], None] | None = None, **changes: int) -> zoo.Evaluation:
    return zoo.evaluate(MODEL, **{"samples": SAMPLES, **changes}, progress=progress)


def stopped(done: int, total: int) -> None:
    if done > total / 2:
        raise StoppedError


def killed(home: str) -> None:
    os.environ["ZOO_HOME"], partial.SECONDS = home, 0.0

    def kill(done: int, total: int) -> None:
        if done > total / 2:
            os.kill(os.getpid(), signal.SIGKILL)

    evaluated(kill)


def files() -> list[Path]:
    return list((cache_folder() / "partial").glob("*"))


def steps_of(measure: Callable[[Callable[[int, int], None]], object]) -> list[int]:
    """How many examples each report of progress adds."""
    seen = [0]
    measure(lambda done, total: seen.append(done))
    assert seen[-1] == DECODED
    return [after - before for before, after in zip(seen, seen[1:], strict=False)]


def test_stopped_it_goes_on_bit_for_bit() -> None:
    whole = evaluated()
    assert not files(), "what is done is kept no longer"
    with pytest.raises(StoppedError):
        evaluated(stopped)
    (file,) = files()
    results: list[zoo.Evaluation] = []
    added = steps_of(lambda progress: results.append(evaluated(progress)))
    assert max(added) > DECODED / 4, "what was weighted before is not weighted again"
    assert results == [whole] and not file.exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is POSIX")
def test_killed_it_is_gone_on_with_by_a_comparison(tmp_path: Path) -> None:
    child = forked(killed, str(tmp_path))
    child.join(60)
    assert child.exitcode == -signal.SIGKILL and len(files()) == 1
    compared = zoo.compare(MODEL, ["nll"], benchmark="digits", samples=SAMPLES)
    assert not files()
    assert next(compared.rows())["value"] == evaluated().nll.value


@pytest.mark.parametrize("changes", [{"samples": SAMPLES + 1}, {"seed": 1}, {"examples": 200}])
def test_under_another_protocol_it_begins_anew(changes: dict[str, int]) -> None:
    wanted = evaluated(**changes)
    with pytest.raises(StoppedError):
        evaluated(stopped)
    assert evaluated(**changes) == wanted
    assert len(files()) == 1, "what was begun under the first is still there"


@pytest.mark.parametrize("content", [b"", b"not tensors", None])
def test_a_damaged_file_costs_the_time_alone(content: bytes | None) -> None:
    with pytest.raises(StoppedError):
        evaluated(stopped)
    (file,) = files()
    file.write_bytes(file.read_bytes()[:-5] if content is None else content)
    assert max(steps_of(evaluated)) < DECODED / 4


def test_a_cache_that_cannot_be_written_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "partial").write_text("a file where a folder should be")
    assert evaluated().samples == SAMPLES


def test_of_a_model_in_memory_nothing_is_kept() -> None:
    with pytest.raises(StoppedError):
        zoo.evaluate(zoo.load(MODEL), dataset="digits", samples=SAMPLES, progress=stopped)
    assert not files()
