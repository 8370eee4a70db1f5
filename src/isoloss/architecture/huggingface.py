"""A model's config.json of Hugging Face: read into a shape, written from one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from isoloss.architecture.config_fields import ConfigFields
from isoloss.architecture.decoder import DecoderShape
from isoloss.architecture.model_families import MODEL_FAMILIES
from isoloss.architecture.shapes import LLAMA_FIELDS, TransformerShape
from isoloss.errors import InputError
from isoloss.notes import Note

_FILE = "config.json"


@dataclass(frozen=True)
class ConfiguredModel:
    """What a config.json says about the shape of a model.

    Attributes:
        model_type: the family, as the config names it.
        shape: the model as `transformers` builds it for causal language modelling.
        max_context: the longest context that the config states, in tokens; None if it states none.
        notes: what the config does not say and `transformers` takes for it, and which part of a
            larger model is counted.
    """

    model_type: str
    shape: DecoderShape
    max_context: int | None
    notes: tuple[Note, ...] = ()


def read_config(config: str | Path | Mapping[str, Any]) -> ConfiguredModel:
    """Read a model's config.json.

    Of a config with a text_config, such as that of a model of text and images, the decoder of the
    text is counted.

    Args:
        config: the file, the folder that holds it, or its content.

    Raises:
        InputError: the file cannot be read, the family is unknown, or a field is missing or cannot
            be.
    """
    if isinstance(config, Mapping):
        return _read(config, "config")
    path = Path(config)
    if path.is_dir():
        path = path / _FILE
    return _read(_load(path), str(path))


def llama_config(shape: TransformerShape, max_context: int = 4096) -> dict[str, Any]:
    """The config.json that makes `transformers` build a shape as a Llama model.

    Args:
        shape: the model.
        max_context: the longest context in tokens, which no parameter depends on.

    Raises:
        InputError: Llama has no such shape.
    """
    llama = TransformerShape(**{name: getattr(shape, name) for name in LLAMA_FIELDS})
    if shape != llama or shape.d_model % shape.n_heads:
        raise InputError(
            "no Llama model",
            where="shape",
            found=str(shape),
            expected="gated feed-forward blocks, two norm vectors per layer and a final one, no "
            "biases, no learned or projected positions, heads that divide d_model",
        )
    attention = shape.decoder.layers[0].attention
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "head_dim": attention.score_width // shape.n_heads,
        "hidden_act": "silu",
        "hidden_size": shape.d_model,
        "intermediate_size": shape.d_ff,
        "max_position_embeddings": max_context,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": shape.n_heads,
        "num_hidden_layers": shape.n_layers,
        "num_key_value_heads": shape.n_kv_heads or shape.n_heads,
        "tie_word_embeddings": shape.tied_embeddings,
        "vocab_size": shape.vocabulary_size,
    }


def _load(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            "cannot read the file",
            where=str(path),
            found=error.strerror or str(error),
            expected="a model's config.json, or the folder that holds it",
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            "not JSON", where=str(path), found=str(error), expected="a model's config.json"
        ) from None
    if not isinstance(values, dict):
        raise InputError(
            "not a config",
            where=str(path),
            found=type(values).__name__,
            expected="an object with the field model_type",
        )
    return values


def _read(values: Mapping[str, Any], source: str) -> ConfiguredModel:
    model_type = _known_type(values)
    text = values.get("text_config")
    if model_type is None and isinstance(text, Mapping) and _known_type(text):
        return _read_text_part(values, text, source)
    if model_type is None:
        raise _unknown(values, source)
    family = MODEL_FAMILIES[model_type]
    fields = ConfigFields(values, source, family.defaults, family.aliases)
    shape = family.shape(fields)
    assumed = {name: size for name, size in family.defaults.items() if not fields.has(name)}
    return ConfiguredModel(
        model_type, shape, fields.optional_size(family.positions), _assumptions(assumed, shape)
    )


def _known_type(values: Mapping[str, Any]) -> str | None:
    model_type = values.get("model_type")
    return model_type if isinstance(model_type, str) and model_type in MODEL_FAMILIES else None


def _read_text_part(
    values: Mapping[str, Any], text: Mapping[str, Any], source: str
) -> ConfiguredModel:
    shared = {name: values[name] for name in ("tie_word_embeddings",) if name in values}
    part = _read({**shared, **text}, f"{source}: text_config")
    note = Note(
        "text_part",
        f"counted is the text decoder, {part.model_type}, not the rest of "
        f"{values.get('model_type', 'the model')}",
    )
    return replace(part, notes=(note, *part.notes))


def _assumptions(assumed: Mapping[str, int], shape: DecoderShape) -> tuple[Note, ...]:
    # A window, and what goes with it, matters only where a layer has one.
    windowed = any(layer.attention.window for layer in shape.layers)
    shown = {name: size for name, size in assumed.items() if windowed or "window" not in name}
    if not shown:
        return ()
    listed = ", ".join(f"{name} = {size}" for name, size in shown.items())
    message = f"absent, so taken as transformers takes them: {listed}"
    return (Note("assumed_fields", message, details=shown),)


def _unknown(values: Mapping[str, Any], source: str) -> InputError:
    model_type = values.get("model_type")
    similar = get_close_matches(str(model_type).lower().replace("-", "_"), MODEL_FAMILIES, n=1)
    nearest = f"perhaps {similar[0]}; " if similar else ""
    return InputError(
        "missing" if model_type is None else "unknown family of models",
        where=f"{source}: model_type",
        found="" if model_type is None else repr(model_type),
        expected=f"{nearest}one of {', '.join(MODEL_FAMILIES)}",
    )
