"""An engine child without the native library: speaks the wire protocol, and does whatever a bad child may do.

``python stub_child.py FILE FD``: ``FILE`` holds the name of the behaviour, one of :class:`Behaviour`; it is read at the start, so a
test changes what the *next* child does by writing it. Each start adds a line to ``FILE.starts``.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from sdrest.engine import messages, wire


class Behaviour(StrEnum):
    """What a child does. All but the first two say that they are ready."""

    CANNOT_START = "cannot start"  #: says why, and ends
    SILENT = "silent"  #: never says anything
    GOOD = "good"  #: carries tasks out; makes pictures of one pattern
    #: Begins tasks, shows previews when asked to, ends what is cancelled, and makes all pictures but one that is skipped.
    SLOW = "slow"
    STUBBORN = "stubborn"  #: begins tasks and never ends them
    DEAF = "deaf"  #: hears nothing, pings included
    DYING = "dying"  #: ends in the middle of a task
    FAILING = "failing"  #: reports that it cannot carry a task out
    LYING = "lying"  #: answers a task with a message that does not exist
    GARBAGE = "garbage"  #: answers a task with bytes that are no frame
    GPU_ONLY = "gpu only"  #: good, with a library built for CUDA


def _ready(backend: str) -> messages.Ready:
    device = messages.DeviceInfo(
        name=f"{backend}0", description="stub", type="cpu", backend=backend, memory_free=0, memory_total=0
    )
    return messages.Ready(
        version="stub", commit="stub", system_info="", physical_cores=1, soft_cancel=True, devices=(device,)
    )


#: The contexts that a child has loaded.
_loaded: list[messages.ContextSpec] = []


def _make(task: messages.Task, send: Callable[[messages.Report], None], *, without: int = 0) -> None:
    """Carry a task out, without one of its pictures (from 1)."""
    if isinstance(task, messages.Load):
        send(messages.ContextChanged(context=task.context, loaded=True, seconds=0, memory_bytes=1))
        _loaded.append(task.context)
    elif isinstance(task, messages.Unload):
        for context in _loaded:
            send(messages.ContextChanged(context=context, loaded=False, seconds=0, memory_bytes=1))
        _loaded.clear()
    elif isinstance(task, messages.Generate):
        width, height, count = task.parameters.width, task.parameters.height, task.parameters.batch_count
        send(messages.Progressed(task=task.task, phase="sample", step=1, steps=1, image=1, images=count))
        for index in range(count):
            if index + 1 == without:
                continue
            seed = task.parameters.seed + index
            path = Path(task.folder) / f"{index}.rgb"
            path.write_bytes(bytes((seed + place) % 251 for place in range(width * height * 3)))
            send(
                messages.PictureMade(task=task.task, index=index, path=str(path), width=width, height=height, seed=seed)
            )
    send(messages.Done(task=task.task, seconds=0.001, result={"skipped": int(without > 0)}))


def main() -> None:
    """Be a child."""
    file, descriptor = sys.argv[1:]
    with Path(f"{file}.starts").open("a", encoding="ascii") as starts:
        starts.write(f"{os.getpid()}\n")
    behaviour = Behaviour(Path(file).read_text(encoding="ascii"))
    connection = socket.socket(fileno=int(descriptor))
    if behaviour is Behaviour.CANNOT_START:
        sys.exit("the library is missing")
    if behaviour is Behaviour.SILENT:
        connection.recv(1, socket.MSG_PEEK)
        signal.pause()

    def send(report: messages.Report) -> None:
        connection.sendall(wire.encode(report))

    decoder: wire.Decoder[messages.Command] = wire.Decoder(messages.Command)
    send(_ready("CUDA" if behaviour is Behaviour.GPU_ONLY else "CPU"))
    if behaviour is Behaviour.DEAF:
        signal.pause()
    current: messages.Task = messages.Unload(task="")
    while (command := decoder.receive(connection)) is not None:
        match command:
            case messages.Ping(number=number):
                send(messages.Pong(number=number, memory_bytes=1))
            case messages.Shutdown():
                return
            case messages.Cancel(task=task) if task == current.task and behaviour is Behaviour.SLOW:
                send(messages.Failed(task=task, slug="cancelled", message="cancelled"))
            case messages.Preview(task=task) if task == current.task and behaviour is Behaviour.SLOW:
                send(messages.Previewed(task=task, step=1, width=8, height=8, rgb=bytes(8 * 8 * 3)))
            case messages.Skip(task=task) if task == current.task and behaviour is Behaviour.SLOW:
                _make(current, send, without=command.picture)
            case messages.Cancel() | messages.Preview() | messages.Skip():
                pass
            case _ if behaviour in {Behaviour.GOOD, Behaviour.GPU_ONLY}:
                _make(command, send)
            case _:
                current = command
                send(messages.Progressed(task=current.task, phase="sample", step=1, steps=9))
                _misbehave(behaviour, current.task, connection)


def _misbehave(behaviour: Behaviour, task: str, connection: socket.socket) -> None:
    match behaviour:
        case Behaviour.DYING:
            print("out of luck", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        case Behaviour.FAILING:
            connection.sendall(
                wire.encode(messages.Failed(task=task, slug="generation_failed", message="it cannot be done"))
            )
        case Behaviour.LYING:
            connection.sendall(wire.encode(messages.Ping(number=1)))  # a command, which no child may send
        case Behaviour.GARBAGE:
            connection.sendall(b"\xff" * 64)
        case _:
            pass


if __name__ == "__main__":
    main()
