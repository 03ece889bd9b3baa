"""Versions as messages."""

import dataclasses
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from rankserve.v1 import models_pb2
from rankserve_server.versions.entry import ModelEntry, ModelState, Roles
from rankserve_server.versions.shadowing import ShadowScorer
from rankserve_training.artifact import Manifest

_STATES = {
    ModelState.LOADING: models_pb2.MODEL_STATE_LOADING,
    ModelState.READY: models_pb2.MODEL_STATE_READY,
    ModelState.FAILED: models_pb2.MODEL_STATE_FAILED,
}


def model_message(entry: ModelEntry, roles: Roles, shadows: ShadowScorer) -> models_pb2.Model:
    """A version, what it is there for, and what its manifest says of it where it is loaded."""
    message = models_pb2.Model(
        name=entry.name,
        version=entry.version,
        state=_STATES[entry.state],
        state_message=entry.message,
        is_default=roles.is_default,
        is_current=roles.is_current,
        is_pinned=roles.is_pinned,
        aliases=roles.aliases,
        canary_percent=roles.canary_percent,
        shadow_percent=roles.shadow_percent,
    )
    model = entry.model
    if model is not None:
        message.MergeFrom(_from_manifest(model.manifest))
        abilities = model.abilities
        message.abilities.MergeFrom(
            models_pb2.Abilities(
                history=abilities.history,
                user_features=abilities.user_features,
                new_items=abilities.new_items,
                choice=abilities.choice,
                baseline=abilities.baseline,
            )
        )
        report = shadows.report(model)
        if report is not None:
            message.shadow_report.MergeFrom(models_pb2.ShadowReport(**dataclasses.asdict(report)))
    return message


def _from_manifest(manifest: Manifest) -> models_pb2.Model:
    created = Timestamp()
    created.FromDatetime(datetime.fromisoformat(manifest.created))
    return models_pb2.Model(
        create_time=created,
        preset=manifest.training.preset,
        dataset=models_pb2.Dataset(
            name=manifest.dataset.name,
            fingerprint=manifest.dataset.fingerprint,
            rating_count=manifest.dataset.rating_count,
        ),
        metrics=manifest.metrics,
        user_count=manifest.users.count,
        item_count=manifest.items.count,
        rating_min=manifest.rating_scale.minimum,
        rating_max=manifest.rating_scale.maximum,
        library_versions=manifest.library_versions,
    )
