"""`/api/v1/models`: which versions there are."""

from rankserve_client.gateway.api.messages import AbilitiesEntry, DatasetEntry, ModelEntry, ModelsAnswer
from rankserve_client.gateway.calls import Call
from rankserve_client.gateway.operations import MODEL, OWN, Operation, Parameter
from rankserve_client.gateway.problems import invalid
from rankserve_client.model_info import ModelInfo

SELECTION = (
    Parameter("version", "A version of it, 1 or more; by default the current one.", {"type": "integer", "minimum": 1}),
    Parameter("alias", "A name that the operator has given to a version.", {"type": "string", "minLength": 1}),
)


async def models(call: Call) -> ModelsAnswer:
    """Every version that the server has loaded, tried to load or is loading."""
    return ModelsAnswer([_entry(model) for model in await call.connection.client.models()])


async def model(call: Call) -> ModelEntry:
    """One version."""
    version, alias = selection_of(call)
    return _entry(await call.connection.client.model(call.path("model"), version=version, alias=alias))


def selection_of(call: Call) -> tuple[int | None, str | None]:
    """The version or the alias behind the question mark.

    Raises:
        BadRequestError: where they are out of their range, or there are both.
    """
    version, alias = call.number("version", low=1), call.text("alias") or None
    if version is not None and alias is not None:
        raise invalid("alias", f"should not be given together with a version, got {version} and {alias!r}")
    return version, alias


def _entry(model: ModelInfo) -> ModelEntry:
    dataset, abilities = model.dataset, model.abilities
    return ModelEntry(
        name=model.name,
        version=model.version,
        state=model.state,
        state_message=model.state_message,
        is_default=model.is_default,
        is_current=model.is_current,
        is_pinned=model.is_pinned,
        aliases=list(model.aliases),
        canary_percent=model.canary_percent,
        shadow_percent=model.shadow_percent,
        created=model.created,
        preset=model.preset,
        dataset=DatasetEntry(dataset.name, dataset.fingerprint, dataset.rating_count) if dataset else None,
        metrics=dict(model.metrics),
        user_count=model.user_count,
        item_count=model.item_count,
        rating_min=model.rating_min,
        rating_max=model.rating_max,
        library_versions=dict(model.library_versions),
        abilities=AbilitiesEntry(
            abilities.history,
            list(abilities.user_features),
            abilities.new_items,
            abilities.choice,
            abilities.baseline,
        ),
    )


OPERATIONS = (
    Operation("GET", "/api/v1/models", "listModels", "Every version of every model.", models, OWN, ModelsAnswer),
    Operation(
        "GET",
        "/api/v1/models/{model}",
        "getModel",
        "One version of a model.",
        model,
        OWN,
        ModelEntry,
        parameters=(MODEL, *SELECTION),
    ),
)
