"""Training on many processes: what the ranks of torch.distributed tell each other.

A rank has trials of its own; all ranks have as many, and make the same steps in the same order.
Without a process group there is one rank, and nothing here changes a number.
"""

from __future__ import annotations

import atexit
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch as th
import torch._dynamo  # optimisers do; after a process group has begun it would keep it from ending
import torch.distributed as dist
from stable_baselines3.common.logger import Logger
from torch import nn

T = TypeVar("T")
TIMEOUT = timedelta(minutes=10)
"""For what the slowest rank may be behind the others."""
LAUNCHER = ("RANK", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher says beside WORLD_SIZE."""


@dataclass
class Traffic:
    """What this rank has exchanged with the others."""

    calls: int = 0
    bytes_sent: float = 0.0
    """With rings: of an all-reduce, 2 (n - 1) / n of the tensor's bytes."""
    seconds: float = 0.0
    """In collective operations, waiting for slower ranks included; with NCCL, which does not wait,
    of launching them."""


traffic = Traffic()


class LostError(RuntimeError):
    """Another rank has died, or does not answer."""


class EchoError(ValueError):
    """An error that another rank tells, so that this one need not."""

    told = True


def size() -> int:
    """Number of ranks."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This one's number."""
    return dist.get_rank() if size() > 1 else 0


def is_first() -> bool:
    """Whether this is the rank that logs, saves and prints."""
    return rank() == 0


def join(device: str) -> None:
    """Join the other ranks, where a launcher such as torchrun has begun several.

    :param device: of the network; with CUDA, each rank takes the GPU of its LOCAL_RANK
    :raises ValueError: a launcher that does not say which rank this is, or too few GPUs
    :raises LostError: not all ranks have come
    """
    alone = os.environ.get("WORLD_SIZE", "1") == "1"
    if alone or not dist.is_available() or dist.is_initialized():
        return
    missing = [name for name in LAUNCHER if name not in os.environ]
    if missing:
        raise ValueError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']} without {', '.join(missing)}: start the ranks "
            "with torchrun, or unset WORLD_SIZE for one process."
        )
    backend = "gloo"
    if device != "cpu" and th.cuda.is_available():
        local, gpus = int(os.environ.get("LOCAL_RANK", os.environ["RANK"])), th.cuda.device_count()
        if local >= gpus or device not in ("auto", "cuda"):
            raise ValueError(
                f"Rank {local} of this machine, which has {gpus} GPUs, with device={device!r}: "
                "start as many ranks as there are GPUs with --device cuda, or use --device cpu."
            )
        th.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    with _exchange(0):
        dist.init_process_group(backend, timeout=TIMEOUT)
    atexit.register(leave)


def leave() -> None:
    """Leave the ranks, whose threads end: one that frees a tensor while Python ends aborts it."""
    if size() > 1:
        dist.destroy_process_group()


def share(count: int, name: str) -> int:
    """This rank's part of a number that is of all ranks together.

    :raises ValueError: not a multiple of their number
    """
    ranks = size()
    if count % ranks:
        above = -(-count // ranks) * ranks
        raise ValueError(f"{name}={count}: {ranks} ranks share it evenly, such as {name}={above}.")
    return count // ranks


def seed(of_all: int) -> int:
    """This rank's seed of tasks and noise; the first rank's is that of all."""
    if is_first():
        return of_all
    return int(np.random.SeedSequence([of_all, rank()]).generate_state(1)[0])


@contextmanager
def _exchange(sent: float) -> Iterator[None]:
    """Count a collective operation that sends so many bytes, and name what its failure means."""
    begin = time.perf_counter()
    try:
        yield
    except RuntimeError as error:  # torch.distributed's are all such
        reason = str(error).strip().partition("\n")[0]
        raise LostError(
            f"Another rank has died or does not answer, so that rank {rank()} ends ({reason})."
        ) from error
    traffic.calls += 1
    traffic.bytes_sent += sent
    traffic.seconds += time.perf_counter() - begin


def _carried(tensor: th.Tensor) -> th.Tensor:
    """The tensor where the process group can take it from: a copy on another device, or itself."""
    carrier = {"gloo": "cpu", "nccl": "cuda"}.get(dist.get_backend())
    return tensor if carrier is None else tensor.to(carrier)


def total(tensor: th.Tensor) -> th.Tensor:
    """The sum over all ranks, of the tensor's shape."""
    if size() == 1:
        return tensor
    carried = _carried(tensor.detach().clone(memory_format=th.contiguous_format))
    with _exchange(2 * (size() - 1) / size() * carried.nbytes):
        dist.all_reduce(carried)
    return carried.to(tensor.device)


def mean(tensor: th.Tensor) -> th.Tensor:
    """The mean over all ranks, of the tensor's shape."""
    return tensor if size() == 1 else total(tensor) / size()


def gather_tensors(tensor: th.Tensor) -> th.Tensor:
    """All ranks' tensors of one shape, stacked along a new axis 0."""
    own = _carried(tensor)
    parts = [th.empty_like(own) for _ in range(size())]
    with _exchange((size() - 1) * own.nbytes):
        dist.all_gather(parts, own)
    return th.stack(parts).to(tensor.device)


def greatest(*numbers: int) -> list[int]:
    """The greatest that a rank has of each number."""
    if size() == 1:
        return list(numbers)
    carried = _carried(th.tensor(numbers))
    with _exchange(2 * (size() - 1) / size() * carried.nbytes):
        dist.all_reduce(carried, dist.ReduceOp.MAX)
    return [int(number) for number in carried]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Put the mean of all ranks' gradients in each one's place, in one exchange."""
    if size() == 1:
        return
    gradients = [each.grad for each in parameters if each.grad is not None]
    average = mean(th.cat([each.reshape(-1) for each in gradients]))
    _spread(average, gradients)


def _spread(flat: th.Tensor, tensors: list[th.Tensor]) -> None:
    """Copy the parts of a vector into tensors."""
    parts = th.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


@th.no_grad()
def copy_first(module: nn.Module) -> None:
    """Give the first rank's parameters and buffers to all.

    They are the same already, but for what processors of different kinds round differently.
    """
    if size() == 1:
        return
    tensors = list(module.state_dict().values())
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        some = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = of_first(th.cat([tensor.reshape(-1) for tensor in some]))
        if not is_first():
            _spread(flat, some)


def of_first(tensor: th.Tensor) -> th.Tensor:
    """The first rank's tensor, where a sum may be rounded otherwise on each."""
    if size() == 1:
        return tensor
    carried = _carried(tensor.clone())
    with _exchange(carried.nbytes if is_first() else 0):
        dist.broadcast(carried, 0)
    return carried.to(tensor.device)


def gather(own: T) -> list[T]:
    """All ranks' objects, in their order, on the first rank; on others their own."""
    if size() == 1:
        return [own]
    parts: list[Any] | None = [None] * size() if is_first() else None
    with _exchange(0):
        dist.gather_object(own, parts)
    return [own] if parts is None else parts


def gather_all(own: T) -> list[T]:
    """All ranks' objects, in their order, on each of them."""
    parts: list[Any] = [None] * size()
    with _exchange(0):
        dist.all_gather_object(parts, own)
    return parts


def together(do: Callable[[], T], first_alone: bool = False) -> T:
    """Do something on all ranks, and fail on all of them where it fails on one.

    :param first_alone: the first rank does it, and all have its result
    :raises EchoError: it failed on another rank, which tells why
    """
    if size() == 1:
        return do()
    failure, result = None, None
    if is_first() or not first_alone:
        try:
            result = do()
        except Exception as error:
            failure = error
    told = gather_all((None if failure is None else str(failure), result if first_alone else None))
    failures = [(number, words) for number, (words, _) in enumerate(told) if words is not None]
    if failures:
        first, words = failures[0]
        if failure is not None and (first == rank() or str(failure) != words):
            raise failure
        raise EchoError(f"Rank {first}: {words}") from failure
    done: Any = told[0][1] if first_alone else result
    return done  # type: ignore[no-any-return]


def check_same(options: Mapping[str, Any]) -> None:
    """See that all ranks were given the same.

    :param options: by name, as JSON holds them
    :raises ValueError: they were not; the first rank tells
    """
    if size() == 1:
        return
    all_ranks = gather_all(json.loads(json.dumps(options, default=str)))
    ours = all_ranks[0]
    for number, theirs in enumerate(all_ranks):
        differing = [
            f"{name}: {ours.get(name)} on rank 0, {theirs.get(name)} on rank {number}"
            for name in {**ours, **theirs}
            if ours.get(name) != theirs.get(name)
        ]
        if differing:
            kind = ValueError if is_first() else EchoError
            raise kind(
                f"The ranks differ ({'; '.join(differing)}): give all of them the same command, "
                "and the same version."
            )


def record(logger: Logger) -> None:
    """Log what was exchanged since the last time under ``ranks/``, where there are several."""
    if size() == 1:
        return
    for name, value in vars(traffic).items():
        logger.record(f"ranks/{name}", value)
        setattr(traffic, name, 0)
