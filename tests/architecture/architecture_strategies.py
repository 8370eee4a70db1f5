"""Shapes of any kind, for properties that hold for all of them."""

from __future__ import annotations

from hypothesis import strategies as st

from isoloss.architecture import TransformerShape


@st.composite
def shapes(draw: st.DrawFn) -> TransformerShape:
    kv_heads = draw(st.integers(1, 4))
    heads = kv_heads * draw(st.integers(1, 4))
    head_dim = draw(st.none() | st.integers(1, 64))
    width = st.integers(1, 64) if head_dim is None else st.integers(1, 512)
    return TransformerShape(
        n_layers=draw(st.integers(1, 12)),
        d_model=draw(width) * (heads if head_dim is None else 1),
        d_ff=draw(st.integers(1, 1024)),
        n_heads=heads,
        vocabulary_size=draw(st.integers(1, 2000)),
        head_dim=head_dim,
        n_kv_heads=draw(st.sampled_from([None, kv_heads])),
        gated=draw(st.booleans()),
        tied_embeddings=draw(st.booleans()),
        norm_vectors_per_layer=draw(st.integers(0, 4)),
        final_norm_vectors=draw(st.integers(0, 2)),
        learned_positions=draw(st.integers(0, 100)),
        biases=draw(st.booleans()),
        relative_position_projection=draw(st.booleans()),
    )
