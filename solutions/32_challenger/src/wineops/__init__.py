"""The wine model, operated: compared, released, applied and served."""
