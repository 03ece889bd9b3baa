import math
from typing import Any

import grpc
import pytest

from client.any_client import AnyClient, Kind
from rankserve_client import Keepalive, RetryPolicy
from rankserve_client.channel import channel_options, service_config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", math.nan),
        ("timeout", None),
        ("timeout", "5"),
        ("retry", 3),
        ("keepalive", 30),
        ("credentials", "secret"),
        ("authority", ""),
        ("max_message_bytes", 0),
        ("max_message_bytes", 2**31),
        ("max_message_bytes", 1.5),
        ("metadata", {"Upper": "case"}),
        ("metadata", {"grpc-reserved": "x"}),
        ("metadata", {"key": "new\nline"}),
        ("metadata", {"key": b"bytes"}),
        ("metadata", {"key-bin": "text"}),
        ("metadata", ["key"]),
        ("channel", "channel"),
        ("tracer_provider", "provider"),
        ("send_user", "yes"),
    ],
)
def test_a_bad_constructor_argument_is_named_with_its_value(kind: Kind, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"`{name}`") as caught:
        AnyClient(kind, None if name == "channel" else "127.0.0.1:1", **{name: value})
    assert str(next(iter(value)) if name == "metadata" else value) in str(caught.value)


@pytest.mark.parametrize("value", ["", "two words", "x" * 129, b"bytes", 7])
async def test_a_request_id_that_the_server_would_not_take_is_refused(kind: Kind, value: Any) -> None:
    client = AnyClient(kind, "127.0.0.1:1")
    with pytest.raises(ValueError, match="`request_id` must be 1 to 128 letters, digits and ") as caught:
        await client.rank(1, [1], request_id=value)
    assert str(value) in str(caught.value)
    await client.close()


def test_needs_a_target_or_a_channel(kind: Kind) -> None:
    with pytest.raises(ValueError, match="either `target` or `channel`"):
        AnyClient(kind)


def test_a_channel_goes_without_what_it_brings_itself() -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        with pytest.raises(ValueError, match="either `target` or `channel`"):
            AnyClient("blocking", "127.0.0.1:1", channel=channel)
        with pytest.raises(ValueError, match="`retry`, `authority` would have no effect"):
            AnyClient("blocking", channel=channel, retry=None, authority="a.example")


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": 6},
        {"attempts": 2.0},
        {"attempts": True},
        {"initial_backoff": 0},
        {"initial_backoff": 0.009},
        {"initial_backoff": math.inf},
        {"max_backoff": 0.01},
        {"max_backoff": math.nan},
        {"multiplier": 0.5},
    ],
)
def test_a_retry_policy_checks_its_ranges(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"`{name}` = {value}"):
        RetryPolicy(**options)


@pytest.mark.parametrize("options", [{"interval": 0.5}, {"interval": math.inf}, {"timeout": 0}, {"timeout": "10"}])
def test_a_keepalive_checks_its_ranges(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"`{name}` = {value!r}"):
        Keepalive(**options)


def test_the_service_config_balances_and_retries() -> None:
    config = service_config(RetryPolicy(attempts=4, initial_backoff=0.25, max_backoff=2, multiplier=1.5))
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    (method,) = config["methodConfig"]
    assert method["retryPolicy"] == {
        "maxAttempts": 4,
        "initialBackoff": "0.250000000s",
        "maxBackoff": "2.000000000s",
        "backoffMultiplier": 1.5,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    assert config["retryThrottling"]["maxTokens"] > 0


@pytest.mark.parametrize("retry", [None, RetryPolicy(attempts=1)])
def test_without_retries_the_service_config_only_balances(retry: RetryPolicy | None) -> None:
    assert service_config(retry) == {"loadBalancingConfig": [{"round_robin": {}}]}


def test_the_channel_options_carry_every_setting() -> None:
    options = dict(channel_options(None, Keepalive(interval=20, timeout=3, while_idle=True), 1000, "a.example"))
    assert options["grpc.keepalive_time_ms"] == 20_000
    assert options["grpc.keepalive_timeout_ms"] == 3_000
    assert options["grpc.keepalive_permit_without_calls"] == 1
    assert options["grpc.max_receive_message_length"] == options["grpc.max_send_message_length"] == 1000
    assert options["grpc.default_authority"] == "a.example"


def test_keepalive_can_be_left_out() -> None:
    assert "grpc.keepalive_time_ms" not in dict(channel_options(None, None, 1000, None))
