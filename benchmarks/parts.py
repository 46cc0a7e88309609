"""Where the time of ``learn()`` goes, by timers around what it calls.

A timer counts its own time alone, without that of the timers inside it, so the parts make up the
whole. In the backward pass, a layer's part is that of the graph's nodes between its output and its
inputs, whatever they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch as th
from torch import nn

FORWARD, BACKWARD = "recurrence, forward", "recurrence, backward"
DENSE, LOSS = "dense layers and features", "distribution and loss"
OPTIMISER, MINIBATCHES = "optimiser's step and clipping", "minibatches from the buffer"
ACTING, ENVIRONMENT = "collecting: acting", "collecting: environment"
BUFFER, BOOK = "collecting: buffer", "collecting: callbacks and the rest"
GAE, REST = "advantages", "the rest"
PARTS = (
    *(FORWARD, BACKWARD, DENSE, LOSS, OPTIMISER, MINIBATCHES),
    *(ACTING, ENVIRONMENT, BUFFER, BOOK, GAE, REST),
)
Function = Callable[..., Any]


class Clock:
    """Seconds of each part; a part that begins inside another interrupts it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._open: list[str] = []
        self._last = 0.0

    def _note(self) -> None:
        now = self.now()
        if self._open:
            self.seconds[self._open[-1]] += now - self._last
        self._last = now

    def begin(self, part: str) -> None:
        self._note()
        self._open.append(part)

    def end(self) -> None:
        self._note()
        self._open.pop()

    def go_on_as(self, part: str) -> None:
        """Let what is open be another part from now on."""
        self._note()
        self._open[-1] = part

    def timed(self, part: str, function: Function) -> Function:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.begin(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.end()

        return call


def nodes_between(output: th.Tensor, inputs: Any) -> list[Any]:
    """The graph's nodes that an output was computed by from its inputs."""
    stop = {tensor.grad_fn for tensor in inputs if isinstance(tensor, th.Tensor)}
    found: list[Any] = []
    front: list[Any] = [output.grad_fn]
    while front:
        node = front.pop()
        if node is None or node in stop or node in found or "AccumulateGrad" in node.name():
            continue
        found.append(node)
        front += [following for following, _ in node.next_functions]
    return found


class Parts:
    """Timers in a model that no one else trains.

    :param now: tells the seconds
    """

    def __init__(self, model: Any, now: Callable[[], float]):
        self.model, self.clock, self.training = model, Clock(now), False
        for module in model.policy.modules():
            if type(module).__name__ == "GRU":  # whose place has changed between commits
                self._watch(module, FORWARD, BACKWARD)
            elif isinstance(module, (nn.Linear, nn.Conv2d)):
                self._watch(module, DENSE, DENSE)
        policy, buffer = model.policy, model.rollout_buffer
        for owner, name, part in (
            (model, "collect_rollouts", BOOK),
            (model.env, "step", ENVIRONMENT),
            (policy, "act", ACTING),
            (buffer, "put", BUFFER),
            (buffer, "compute_returns_and_advantage", GAE),
            (policy.optimizer, "step", OPTIMISER),
            (nn.utils, "clip_grad_norm_", OPTIMISER),
        ):
            setattr(owner, name, self.clock.timed(part, getattr(owner, name)))
        model.train = self._training(self.clock.timed(LOSS, model.train))
        policy.evaluate = self._evaluating(policy.evaluate)
        buffer.get = self._minibatches(buffer.get)

    def _watch(self, module: nn.Module, forward: str, backward: str) -> None:
        """Time a layer while the model is trained: other passes are parts of collecting."""

        def before(module: nn.Module, inputs: Any) -> None:
            if self.training:
                self.clock.begin(forward)

        def after(module: nn.Module, inputs: Any, output: Any) -> None:
            if not self.training:
                return
            self.clock.end()
            if forward == FORWARD:  # what came before the recurrence were features
                self.clock.go_on_as(LOSS)
            outputs = (
                output[0] if isinstance(output, tuple) else output
            )  # a memory's, and its state
            for node in nodes_between(outputs, inputs):
                node.register_prehook(lambda _: self.clock.begin(backward))
                node.register_hook(lambda *_: self.clock.end())

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)

    def _training(self, train: Function) -> Function:
        def call() -> None:
            self.training = True
            train()
            self.training = False

        return call

    def _evaluating(self, evaluate: Function) -> Function:
        timed = self.clock.timed(DENSE, evaluate)

        def call(*args: Any, **kwargs: Any) -> Any:
            return (timed if self.training else evaluate)(*args, **kwargs)

        return call

    def _minibatches(self, get: Function) -> Function:
        def call(*args: Any, **kwargs: Any) -> Iterator[Any]:
            batches = get(*args, **kwargs)
            following = self.clock.timed(MINIBATCHES, lambda: next(batches, None))
            while (batch := following()) is not None:
                yield batch

        return call

    def round(self) -> dict[str, float]:
        """Seconds of each part, for one rollout and what is learned from it.

        :raises RuntimeError: a recurrence that goes past these timers
        """
        seconds = self.clock.seconds
        seconds |= dict.fromkeys(PARTS, 0.0)
        clip = nn.utils.clip_grad_norm_
        nn.utils.clip_grad_norm_ = self.clock.timed(OPTIMISER, clip)
        try:
            self.clock.timed(REST, self.model.learn)(self.model.n_steps * self.model.n_envs)
        finally:
            nn.utils.clip_grad_norm_ = clip
        for part in (FORWARD, BACKWARD, ACTING):
            if not seconds[part]:
                raise RuntimeError(f"No time of {part!r} was seen: bring {__name__} up to date.")
        return dict(seconds)
