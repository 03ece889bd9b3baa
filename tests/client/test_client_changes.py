"""How both clients, and the commands, ask for other versions to answer."""

import grpc
import pytest

from client.command import run
from client.conftest import Connect
from client.scripted_server import RefusedError, ScriptedServer
from client.test_client_messages import full_model
from rankserve.v1 import models_pb2
from rankserve_client import (
    Conflict,
    DeleteAlias,
    Pin,
    Promote,
    RollBack,
    ServingChange,
    SetAlias,
    SetCanary,
    SetShadow,
    Unpin,
)

Request = models_pb2.ChangeServingRequest

# By what the client is told: what goes over the wire, and the command that does the same.
CHANGES: dict[str, tuple[ServingChange, models_pb2.ChangeServingRequest, str]] = {
    "promote": (Promote(7), Request(name="m", promote=models_pb2.PromoteVersion(version=7)), "promote 7"),
    "roll back": (RollBack(), Request(name="m", roll_back=models_pb2.RollBack()), "rollback"),
    "pin": (Pin(6), Request(name="m", pin=models_pb2.PinVersion(version=6)), "pin 6"),
    "pin what is current": (Pin(), Request(name="m", pin=models_pb2.PinVersion()), "pin"),
    "unpin": (Unpin(), Request(name="m", unpin=models_pb2.Unpin()), "unpin"),
    "set an alias": (
        SetAlias("stable", 5),
        Request(name="m", set_alias=models_pb2.SetAlias(alias="stable", version=5)),
        "alias stable 5",
    ),
    "delete an alias": (
        DeleteAlias("stable"),
        Request(name="m", delete_alias=models_pb2.DeleteAlias(alias="stable")),
        "alias stable --delete",
    ),
    "canary": (
        SetCanary(7, 2.5),
        Request(name="m", set_canary=models_pb2.SetCanary(version=7, percent=2.5)),
        "canary 7 --percent 2.5",
    ),
    "no canary": (SetCanary(0, 0), Request(name="m", set_canary=models_pb2.SetCanary()), "canary --end"),
    "shadow": (
        SetShadow(7, 100),
        Request(name="m", set_shadow=models_pb2.SetShadow(version=7, percent=100)),
        "shadow 7 --percent 100",
    ),
    "no shadow": (SetShadow(0, 0), Request(name="m", set_shadow=models_pb2.SetShadow()), "shadow --end"),
}


def test_none_is_left_out() -> None:
    known = {field.name for field in Request.DESCRIPTOR.oneofs_by_name["change"].fields}
    assert {request.WhichOneof("change") for _, request, _ in CHANGES.values()} == known


@pytest.mark.parametrize("case", CHANGES)
async def test_a_change_goes_over_the_wire(connect: Connect, server: ScriptedServer, case: str) -> None:
    change, expected, _ = CHANGES[case]
    server.models = [full_model()]
    infos = await connect(server.target).change_serving(change, "m")
    assert server.requests == [expected]
    assert [info.version for info in infos] == [3]


@pytest.mark.parametrize("case", CHANGES)
def test_the_command_does_the_same(server: ScriptedServer, case: str) -> None:
    _, expected, command = CHANGES[case]
    server.models = [full_model(), models_pb2.Model(name="movielens", version=2)]
    process = run("models", *command.split(), "--model", "m", "--server", server.target)
    assert (process.returncode, process.stderr) == (0, "")
    assert server.requests == [expected]
    assert process.stdout == (
        "movielens version 3: answers, pinned, answers 12.5 % of the users, in the shadow of 50 % of the requests, "
        "@stable\n"
    )


async def test_what_cannot_be_done_is_a_conflict(connect: Connect, server: ScriptedServer) -> None:
    server.refusal = RefusedError(grpc.StatusCode.FAILED_PRECONDITION, "version 7 cannot be served: it is truncated")
    with pytest.raises(Conflict, match="it is truncated"):
        await connect(server.target).change_serving(Promote(7))
    process = run("models", "promote", "7", "--server", server.target)
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == "Error: version 7 cannot be served: it is truncated\n"


async def test_a_change_is_never_made_twice(connect: Connect, server: ScriptedServer) -> None:
    server.refusal = RefusedError(grpc.StatusCode.UNAVAILABLE, "somewhere on the way")
    with pytest.raises(Exception, match="somewhere on the way"):
        await connect(server.target).change_serving(RollBack())
    assert len(server.requests) == 1


async def test_reloading(connect: Connect, server: ScriptedServer) -> None:
    server.models = [full_model()]
    client = connect(server.target)
    assert [info.version for info in await client.reload()] == [3]
    await client.reload("m", retry_quarantined=True)
    assert server.requests == [
        models_pb2.ReloadRequest(),
        models_pb2.ReloadRequest(name="m", retry_quarantined=True),
    ]


def test_reloading_tells_what_is_wrong_on_stderr(server: ScriptedServer) -> None:
    failed = models_pb2.Model(name="m", version=9, state=models_pb2.MODEL_STATE_FAILED, state_message="truncated")
    server.models = [failed]
    process = run("models", "reload", "--retry-quarantined", "--server", server.target)
    assert (process.returncode, process.stdout) == (0, "")
    assert process.stderr == "m version 9 is failed: truncated\n"
    assert server.requests == [models_pb2.ReloadRequest(retry_quarantined=True)]
