"""A run on W&B: begun before anything is computed, and never in the way of it afterwards."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from rl2_sb3.config import TrackConfig
from rl2_sb3.files import replace_text
from rl2_sb3.tracking.asked import is_tracked

KEPT = "wandb.json"
"""File in a run's folder that says which W&B run it is."""
PATIENCE = 600.0
"""Seconds to wait at the end for what is not uploaded yet; ``wandb sync`` uploads the rest."""
INSTALL = "pip install 'rl2-sb3[wandb]'"


class Tracker:
    """A W&B run, as a context that finishes it.

    No method raises an error: after the first failure, which is printed, they do nothing.

    :param run: W&B's, or ``None`` for nothing to be tracked
    :param finish: end the run with the context
    """

    def __init__(self, run: Any | None, finish: bool = True):
        self._run, self._finish, self._failed = run, finish, False

    @property
    def active(self) -> bool:
        """Whether anything is tracked."""
        return self._run is not None and not self._failed

    def _attempt(self, act: Callable[[Any], Any]) -> None:
        if not self.active:
            return
        try:
            act(self._run)
        except Exception as error:  # whatever fails there: the run's own work goes on
            self._failed = True
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        print(
            f"\nTracking on W&B has failed ({type(error).__name__}: {_line(error)}). The run "
            "goes on untracked; `wandb sync` uploads what was tracked before.",
            file=sys.stderr,
        )

    def log(self, values: Mapping[str, Any], steps: int | None = None) -> None:
        """Log values.

        :param steps: environment steps, the x axis; what a resumed run has there already is left
            out
        """

        def act(run: Any) -> None:
            if steps is None or steps >= run.step:
                run.log(dict(values), step=steps)

        self._attempt(act)

    def table(
        self, name: str, columns: Mapping[str, bool], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Log a table.

        :param columns: by name, whether they are of numbers; these may be text in the rows
        """

        def act(run: Any) -> None:
            from wandb import Table

            cells = [
                [_number(row[name]) if number else row[name] for name, number in columns.items()]
                for row in rows
            ]
            run.log({name: Table(columns=list(columns), data=cells)})

        self._attempt(act)

    def picture(self, name: str, draw: Callable[[Path], Path], steps: int | None = None) -> None:
        """Log a picture.

        :param draw: makes its file, in a folder that is removed afterwards, or gives one that there
            is
        """

        def act(run: Any) -> None:
            from wandb import Image

            with TemporaryDirectory() as folder:
                image = Image(str(draw(Path(folder))))
                if steps is None or steps >= run.step:
                    run.log({name: image}, step=steps)

        self._attempt(act)

    def agent(self, save: Callable[[Path], Path]) -> None:
        """Log an agent's file as an artifact, its description as the metadata.

        :param save: makes the file, in a folder that is removed afterwards, or gives one that there
            is
        """

        def act(run: Any) -> None:
            from wandb import Artifact

            from rl2_sb3.agent_file import describe_agent

            with TemporaryDirectory() as folder:
                file = save(Path(folder))
                artifact = Artifact(
                    f"agent-{run.id}", "model", metadata=_plain(describe_agent(file))
                )
                artifact.add_file(str(file))  # copied at once
                run.log_artifact(artifact)

        self._attempt(act)

    def keep(self, folder: Path) -> None:
        """Write into a run's folder which W&B run it is, for when it is resumed."""

        def act(run: Any) -> None:
            if not run.disabled:
                place = {"entity": run.entity or None, "project": run.project, "id": run.id}
                replace_text(folder / KEPT, json.dumps(place) + "\n")

        self._attempt(act)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        run, self._run = self._run, None
        if run is None or not self._finish:
            return
        try:
            run.finish(exit_code=0 if kind is None else 1)
        except Exception as failure:
            if not self._failed:
                self._tell(failure)


def begin(
    config: TrackConfig, job: str, settings: Mapping[str, Any], resumed: Path | None = None
) -> Tracker:
    """Begin a W&B run, if that is asked for, or go on with one.

    :param job: W&B's job type: "train", "evaluate" and the like
    :param settings: the run's configuration
    :param resumed: folder of the run that goes on, if one does
    :raises RuntimeError: W&B is not installed, or refuses, as without an account
    :raises ValueError: the folder's file on the W&B run is damaged
    """
    if not is_tracked(config):
        return Tracker(None)
    check_installed()
    import wandb

    before: dict[str, Any] = {}
    if resumed is not None:
        said = "WANDB_RUN_ID" in os.environ  # which run it is, by the user or `wandb agent`
        before = {"resume": "allow", **({} if said else _kept(resumed))}
    patience = {} if "WANDB_FINISH_TIMEOUT" in os.environ else {"finish_timeout": PATIENCE}
    try:
        run = wandb.init(job_type=job, config=dict(settings), settings=patience, **before)
        if run.resumed:
            run.config.update(dict(settings), allow_val_change=True)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise RuntimeError(
            f"W&B: {_line(error)}. Without account or network: WANDB_MODE=offline; untracked: "
            "--track none."
        ) from error
    return Tracker(run)


def begin_or_join(job: str, settings: Mapping[str, Any]) -> Tracker:
    """Begin a W&B run, or track into the one that is active, and leave that open.

    :param job: see :func:`begin`
    :param settings: what the active run's configuration does not have is added to it
    :raises RuntimeError: W&B is not installed, or refuses, as without an account
    """
    check_installed()
    import wandb

    if wandb.run is None:
        return begin(TrackConfig(track="wandb"), job, settings)
    wandb.run.config.setdefaults(dict(settings))  # type: ignore[no-untyped-call]
    return Tracker(wandb.run, finish=False)


def check_installed() -> None:
    """See that W&B is installed; a folder ``wandb`` that its runs have left is not it.

    :raises RuntimeError: it is not
    """
    try:
        from wandb import init  # noqa: F401
    except ImportError as error:
        raise RuntimeError(
            f"W&B is not installed: `{INSTALL}`, or untracked: --track none."
        ) from error


def _line(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _number(cell: Any) -> float | None:
    """A table's cell of a column of numbers; empty ones are none."""
    return None if cell == "" else float(cell)


def _plain(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description as W&B takes it, whose JSON has no infinities: spaces' bounds become words."""
    plain: dict[str, Any] = json.loads(json.dumps(description), parse_constant=str)
    return plain


def _kept(folder: Path) -> dict[str, Any]:
    """What :meth:`Tracker.keep` wrote there; nothing where the run was not tracked."""
    path = folder / KEPT
    if not path.exists():
        return {}
    try:
        place = json.loads(path.read_text(encoding="utf-8"))
        return {name: place[name] for name in ("entity", "project", "id")}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}, which says what W&B run this is, is damaged: delete it to go on in a new one."
        ) from error
