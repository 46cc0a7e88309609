"""Commands that plugins bring."""

from collections.abc import Sequence

import pytest

from rl2_sb3.cli import main
from rl2_sb3.registry import COMMANDS

ASKED: list[str] = []


def greet(args: Sequence[str]) -> None:
    """Say hello.

    And no more.
    """
    if "--fail" in args:
        raise ValueError("no hello")
    ASKED.extend(args)


@pytest.fixture
def greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> object:
        if name == "rotten":
            raise RuntimeError("rotten cannot be loaded")
        return greet

    monkeypatch.setattr(COMMANDS, "names", lambda: ["greet", "rotten"])
    monkeypatch.setattr(COMMANDS, "load", load)
    ASKED.clear()


@pytest.mark.usefixtures("greeting")
def test_a_plugins_command_is_listed_and_run(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    printed = capsys.readouterr().out.splitlines()
    assert "  rl2 greet           Say hello." in printed
    assert "  rl2 rotten          rotten cannot be loaded" in printed
    main(["greet", "you", "--loud"])
    assert ASKED == ["you", "--loud"]
    with pytest.raises(SystemExit, match="rl2 greet: no hello"):
        main(["greet", "--fail"])
    with pytest.raises(SystemExit, match="rl2 rotten: rotten cannot be loaded"):
        main(["rotten"])
    with pytest.raises(SystemExit, match=r"no command 'gret'\. Did you mean 'greet'"):
        main(["gret"])


def test_a_command_that_a_checkout_has_is_pointed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(COMMANDS, "names", list)
    with pytest.raises(SystemExit, match=r"no command 'benchmark'\. `.*plugins/rl2-paper` adds"):
        main(["benchmark", "table1"])
    with pytest.raises(SystemExit, match=r"no command 'report'\. `.*plugins/rl2-paper` adds"):
        main(["report"])  # "export" is spelt much alike
